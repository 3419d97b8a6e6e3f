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
            abstract: "Writes everything that the ledger keeps to a file, one JSON object to a line.",
            discussion: "The last line says how many records there are, and their digest: what is cut is not imported.")

        @OptionGroup var options: DataOption
        @OptionGroup var ledger: LedgerOption

        @Argument(help: "The file, which must not be there yet.")
        var file: String

        func run() async throws {
            let directory = try GatewayDirectory(existing: options.data)
            let records = try await ledger.withFreeLedger(of: directory) { try await $0.records() }
            guard !records.isEmpty else {
                throw LedgerError(
                    .conflict,
                    "the ledger \(ledger.ledger ?? directory.ledgerPath) holds nothing, and nothing was written; check --data"
                        + ", and --ledger with its prefix")
            }
            try LedgerBackup.write(records, to: file)
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
            let records = try LedgerBackup.read(file)
            try await ledger.withFreeLedger(of: directory) { try await $0.restore(records) }
            print("\(records.count) records imported from \(file)")
        }
    }
}
