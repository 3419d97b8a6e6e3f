import ArgumentParser
import Foundation
import Gateway
import Ledger

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Carries the ledger from SQLite to etcd, or back, while no gateway uses it.",
        subcommands: [Export.self, Import.self])

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes everything that the ledger keeps to a file, one JSON object to a line.")

        @OptionGroup var options: DataOption
        @OptionGroup var ledger: LedgerOption

        @Argument(help: "The file, which must not be there yet.")
        var file: String

        func run() async throws {
            let directory = try GatewayDirectory(existing: options.data)
            let records = try await ledger.withFreeLedger(of: directory) { try await $0.records() }
            var lines = Data()
            for record in records { lines += try LedgerJSON.encode(record) + [UInt8(ascii: "\n")] }
            // Hashes of tokens and names of tenants are nobody else's business.
            guard FileManager.default.createFile(atPath: file, contents: nil, attributes: [.posixPermissions: 0o600])
            else { throw LedgerError(.readOnly, "\(file) cannot be written; name a file in a folder of yours") }
            try lines.write(to: URL(filePath: file))
            print("\(records.count) records exported to \(file)")
        }

        func validate() throws {
            guard !FileManager.default.fileExists(atPath: file) else {
                throw ValidationError("\(file) is there already; name another file")
            }
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes what was exported into a ledger that is empty yet.")

        @OptionGroup var options: DataOption
        @OptionGroup var ledger: LedgerOption

        @Argument(help: "What `ledger export` wrote.")
        var file: String

        func run() async throws {
            let directory = try GatewayDirectory(existing: options.data)
            let records = try Self.read(file)
            try await ledger.withFreeLedger(of: directory) { try await $0.restore(records) }
            print("\(records.count) records imported from \(file)")
        }

        private static func read(_ file: String) throws -> [LedgerRecord] {
            let lines = try Data(contentsOf: URL(filePath: file)).split(separator: UInt8(ascii: "\n"))
            return try lines.enumerated().map { number, line in
                do { return try LedgerJSON.decode(LedgerRecord.self, from: Data(line)) } catch {
                    throw LedgerError(.corrupt, "line \(number + 1) of \(file) is no record of a ledger", cause: error)
                }
            }
        }
    }
}
