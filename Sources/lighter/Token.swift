import ArgumentParser
import Fleet
import Foundation
import Glibc
import Session

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes one-time tokens with which nodes join.", subcommands: [Create.self],
        defaultSubcommand: Create.self)

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints a new token: it is a secret, and good once.")

        @OptionGroup var client: OperatorOptions

        @Option(help: "The tenant that the node will belong to.")
        var tenant = TenantID.main.name

        @Option(help: "How long the token is good for: 30m, 1h, 2d.")
        var ttl = Lifetime.hour

        func run() async throws {
            guard let tenant = try? TenantID(tenant) else {
                throw ValidationError("--tenant \(tenant): use 1 to 63 of a-z, 0-9 and -")
            }
            let lifetime = Duration.seconds(ttl.seconds)
            let token = try await client.withClient { try await $0.token(tenant: tenant, ttl: lifetime).text }
            print(token)
            if isatty(STDOUT_FILENO) == 1 {
                let command = "lighter join \(try client.gateways().addresses.joined(separator: ",")) --token \(token)"
                let hint = "\nOn the new machine, within \(ttl.defaultValueDescription):\n  \(command)\n"
                try FileHandle.standardError.write(contentsOf: Data(hint.utf8))
            }
        }
    }
}
