import ArgumentParser
import DockerAPI
import Engine
import Fleet
import Foundation

struct Images: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists this device's images: which nodes have them, and what a move would cost.",
        discussion: "Asks the front door of this machine; what would travel is told before compression.")

    @Option(
        name: .long, help: "The Docker socket that lighterd serves (default: that of DOCKER_HOST, or lighterd's own).")
    var socket: String?
    @OptionGroup var output: FormatOption

    func run() async throws {
        let rows = try await Self.ask(try path())
        try output.format.show(rows) { Self.table(rows) }
    }

    private func path() throws -> String {
        if let socket { return socket }
        let host = ProcessInfo.processInfo.environment["DOCKER_HOST"] ?? ""
        if host.hasPrefix("unix://") { return String(host.dropFirst("unix://".count)) }
        guard let known = Installation.known.map(\.defaultSocket).first(where: FileManager.default.fileExists(atPath:))
        else {
            throw CommandFailure("no front door is known on this machine: name its socket with --socket")
        }
        return known
    }

    @NodeLoop
    private static func ask(_ path: String) async throws -> [ImageRow] {
        let answer: DockerResponse
        do {
            answer = try await DockerClient(dialer: UnixDialer(path: path)).request("GET", "/lighter/images")
        } catch {
            throw CommandFailure("\(path) does not answer: is lighterd running? (\(error))")
        }
        guard answer.status == 200 else {
            throw CommandFailure("\(path) is no front door of Lighter's: it answers \(answer.status)")
        }
        return try answer.json().arrayValue?.map(ImageRow.init) ?? []
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
