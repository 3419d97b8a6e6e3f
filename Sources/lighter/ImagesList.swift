import ArgumentParser
import DockerAPI
import Fleet
import Foundation

struct ImagesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists this device's images, and where they are.")

    @OptionGroup var door: FrontDoorOptions
    @OptionGroup var output: FormatOption

    func run() async throws {
        let rows = try await door.ask("/lighter/images").map(ImageRow.init)
        try output.format.show(rows) { Self.table(rows, now: Date().timeIntervalSince1970) }
    }

    /// - Parameter now: seconds since 1970.
    static func table(_ rows: [ImageRow], now: Double) -> String {
        var table = Table("IMAGE", "ID", "SIZE", "NODE", "MISSING THERE", "UNUSED FOR", "PINNED")
        for row in rows.sorted(by: { $0.names.first ?? "~" < $1.names.first ?? "~" }) {
            for (index, place) in row.nodes.enumerated() {
                let cost = place.has ? "nothing" : place.missingBytes.map { "\(ByteCount($0))" } ?? "not known"
                let unused = place.lastUsed.map { Self.span(now - Double($0)) } ?? ""
                let pinned = place.pinned ? place.pinnedUntil.map { "for " + Self.span(Double($0) - now) } ?? "yes" : ""
                if index == 0 {
                    let name = row.names.isEmpty ? "<none>" : row.names.joined(separator: ", ")
                    table.add(
                        name, String(row.id.dropFirst(7).prefix(12)), "\(ByteCount(row.sizeBytes))", place.node, cost,
                        unused, pinned)
                } else {
                    table.add("", "", "", place.node, cost, unused, pinned)
                }
            }
        }
        return table.text
    }

    /// Seconds in the largest unit of which there are two.
    private static func span(_ seconds: Double) -> String {
        for (name, unit) in [("d", 86_400.0), ("h", 3600), ("min", 60)] where seconds >= 2 * unit {
            return "\(Int(seconds / unit)) \(name)"
        }
        return "\(Int(max(0, seconds))) s"
    }
}

/// An image as `--format json` shows it: names and units here are a promise to scripts.
struct ImageRow: Encodable {
    struct Place: Encodable {
        let node: String
        let has: Bool
        /// Null where the node does not say.
        let missingBytes: Int64?
        /// Whether Lighter brought it there, and so may give it up again.
        let brought: Bool
        /// Of what Lighter brought: seconds since 1970.
        let lastUsed: Int64?
        let pinned: Bool
        /// Null for a pin without an end.
        let pinnedUntil: Int64?
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
                missingBytes: place["Missing"]?.intValue, brought: place["Brought"]?.boolValue ?? false,
                lastUsed: place["LastUsed"]?.intValue, pinned: place["Pinned"]?.boolValue ?? false,
                pinnedUntil: place["Until"]?.intValue)
        }
    }
}
