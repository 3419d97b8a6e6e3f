import ArgumentParser
import Foundation

/// `--format`: for a person, or for a program.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table
    case json

    /// Prints `rows` in this form; `table` is asked only for a person.
    func show(_ rows: some Encodable, table: () -> String) throws {
        switch self {
        case .table:
            print(table())
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(rows), as: UTF8.self))
        }
    }
}

struct FormatOption: ParsableArguments {
    @Option(name: .long, help: "table or json.")
    var format: OutputFormat = .table
}
