import ArgumentParser
import DockerAPI
import Fleet

struct Mounts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists this device's bind mounts that containers elsewhere use now, and how far each is.",
        discussion: """
            Asks the front door of this machine. Paths and bytes count since the mount was opened; bytes are those of the link.
            A large first sync can be followed here while `docker start` waits for it.
            """)

    @OptionGroup var door: FrontDoorOptions
    @OptionGroup var output: FormatOption

    func run() async throws {
        let rows = try await door.ask("/lighter/mounts").map(MountRow.init)
        try output.format.show(rows) { Self.table(rows) }
    }

    static func table(_ rows: [MountRow]) -> String {
        var table = Table("PATH", "NODE", "STATE", "BROUGHT OVER", "SENT", "RECEIVED", "CONFLICTS")
        for row in rows {
            let share = row.pathsPlanned > 0 ? " (\(100 * row.pathsDone / row.pathsPlanned) %)" : ""
            table.add(
                row.source, row.node, row.state, "\(row.pathsDone) of \(row.pathsPlanned) paths\(share)",
                "\(ByteCount(row.sentBytes))", "\(ByteCount(row.receivedBytes))", "\(row.conflicts)")
        }
        let notices = rows.flatMap { row in row.notices.map { "\(row.source) at \(row.node): \($0)" } }
        return ([table.text] + notices).joined(separator: "\n")
    }
}

/// A mount as `--format json` shows it: names and units here are a promise to scripts.
struct MountRow: Encodable {
    let source, node: String
    /// `first sync`, `synchronising` or `live`.
    let state: String
    /// Ids, as the device shows them.
    let containers: [String]
    let pathsPlanned, pathsDone, sentBytes, receivedBytes, conflicts: Int64
    /// The last ones: what was skipped, failed, or kept twice.
    let notices: [String]

    init(_ json: JSON) {
        source = json["Source"]?.stringValue ?? ""
        node = json["Node"]?.stringValue ?? ""
        state = json["State"]?.stringValue ?? ""
        containers = (json["Containers"]?.arrayValue ?? []).compactMap(\.stringValue)
        pathsPlanned = json["Paths"]?["Planned"]?.intValue ?? 0
        pathsDone = json["Paths"]?["Done"]?.intValue ?? 0
        sentBytes = json["Bytes"]?["Sent"]?.intValue ?? 0
        receivedBytes = json["Bytes"]?["Received"]?.intValue ?? 0
        conflicts = json["Conflicts"]?.intValue ?? 0
        notices = (json["Notices"]?.arrayValue ?? []).compactMap(\.stringValue)
    }
}
