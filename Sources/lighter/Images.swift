import ArgumentParser
import DockerAPI
import Fleet

struct Images: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists this device's images: which nodes have them, and what a move would cost.",
        discussion: "Asks the front door of this machine; what would travel is told before compression.")

    @OptionGroup var door: FrontDoorOptions
    @OptionGroup var output: FormatOption

    func run() async throws {
        let rows = try await door.ask("/lighter/images").map(ImageRow.init)
        try output.format.show(rows) { Self.table(rows) }
    }

    static func table(_ rows: [ImageRow]) -> String {
        var table = Table("IMAGE", "ID", "SIZE", "NODE", "MISSING THERE")
        for row in rows.sorted(by: { $0.names.first ?? "~" < $1.names.first ?? "~" }) {
            for (index, place) in row.nodes.enumerated() {
                let cost = place.has ? "nothing" : place.missingBytes.map { "\(ByteCount($0))" } ?? "not known"
                if index == 0 {
                    let name = row.names.isEmpty ? "<none>" : row.names.joined(separator: ", ")
                    table.add(
                        name, String(row.id.dropFirst(7).prefix(12)), "\(ByteCount(row.sizeBytes))", place.node, cost)
                } else {
                    table.add("", "", "", place.node, cost)
                }
            }
        }
        return table.text
    }
}

/// An image as `--format json` shows it: names and units here are a promise to scripts.
struct ImageRow: Encodable {
    struct Place: Encodable {
        let node: String
        let has: Bool
        /// Null where the node does not say.
        let missingBytes: Int64?
    }

    let id: String
    let names: [String]
    let sizeBytes: Int64
    let nodes: [Place]

    init(_ json: JSON) {
        id = json["Id"]?.stringValue ?? ""
        names = (json["Names"]?.arrayValue ?? []).compactMap(\.stringValue)
        sizeBytes = json["Size"]?.intValue ?? 0
        nodes = (json["Nodes"]?.arrayValue ?? []).map { place in
            Place(
                node: place["Node"]?.stringValue ?? "", has: place["Has"]?.boolValue ?? false,
                missingBytes: place["Missing"]?.intValue)
        }
    }
}
