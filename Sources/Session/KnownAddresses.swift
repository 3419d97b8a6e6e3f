import Fleet

/// Where nodes were last reached directly, kept across restarts: a daemon that starts while the gateway is away still finds
/// the nodes that run its containers.
///
/// One line a node: its name, then its addresses, best first. A damaged line is forgotten; the gateway knows better anyway.
struct KnownAddresses: Sendable {
    /// More nodes than run one device's containers; the ones reached last are kept.
    private static let limit = 64

    private let file: StateFile
    private var known: [(node: NodeID, addresses: [String])] = []

    init(directory: String) {
        file = StateFile(directory: directory, name: "addresses")
        for line in (file.read() ?? "").split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 1, let node = try? NodeID(words[0]) else { continue }
            known.append((node, Array(words.dropFirst())))
        }
    }

    subscript(node: NodeID) -> [String] { known.last { $0.node == node }?.addresses ?? [] }

    /// Takes in that a node was reached at one of these.
    /// - Returns: whether that was news, to be saved.
    mutating func note(_ addresses: [String], of node: NodeID) -> Bool {
        guard !addresses.isEmpty, self[node] != addresses else { return false }
        known.removeAll { $0.node == node }
        known.append((node, addresses))
        if known.count > Self.limit { known.removeFirst() }
        return true
    }

    /// - Throws: `.invalid` when the file cannot be written.
    func save() throws(SessionError) {
        try file.write(known.map { "\($0.node) \($0.addresses.joined(separator: " "))\n" }.joined())
    }
}
