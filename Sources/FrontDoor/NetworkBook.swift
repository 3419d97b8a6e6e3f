internal import DockerAPI
internal import Engine
internal import Fleet

/// The twins of this device's user-defined networks: one at each node where containers of the network run.
///
/// A network is made on the device's own engine, which knows its name, options and id; its twin at a node has the same
/// name (with the device's behind it), and the containers there find one another in it.
@NodeLoop
final class NetworkBook {
    private let journal: Journal
    /// Twins' ids by network and node.
    private var twins: [String: [NodeID: String]] = [:]
    /// Their own names on the device.
    private var names: [String: String] = [:]
    /// The addresses that the user asked for, where it did: what an engine draws itself is no wish.
    private var wishes: [String: JSON] = [:]
    /// The networks of twins that are gone, of which events still tell.
    private var former = Recent<String>()

    init(journal: Journal) throws(FrontDoorError) {
        self.journal = journal
        for (id, record) in try journal.networks() {
            wishes[id] = record["addresses"]
            names[id] = record["name"]?.stringValue
            for member in record["twins"]?.objectValue?.members ?? [] {
                guard let node = try? NodeID(member.key), let twin = member.value.stringValue else { continue }
                twins[id, default: [:]][node] = twin
            }
        }
    }

    var ids: Set<String> { Set(twins.keys).union(wishes.keys) }

    func twins(of id: String) -> [NodeID: String] { twins[id] ?? [:] }

    func addresses(of id: String) -> JSON? { wishes[id] }

    /// The device's id of a twin.
    /// - Parameter name: what it is called on the device: where a container shows a network's id, Podman gives its name.
    func network(ofTwin twin: String, named name: String, at node: NodeID) -> String? {
        twins.first { $0.value[node] == twin || names[$0.key] == name && $0.value[node] != nil }?.key ?? former[twin]
    }

    func put(twin: String?, of id: String, named name: String? = nil, at node: NodeID) throws(FrontDoorError) {
        if twin == nil, let gone = twins[id]?[node] { former[gone] = id }
        twins[id, default: [:]][node] = twin
        if let name { names[id] = name }
        try keep(id)
    }

    func put(addresses: JSON, of id: String) throws(FrontDoorError) {
        wishes[id] = addresses
        try keep(id)
    }

    func forget(_ id: String) throws(FrontDoorError) {
        twins[id] = nil
        wishes[id] = nil
        names[id] = nil
        try journal.put(network: id, nil)
    }

    private func keep(_ id: String) throws(FrontDoorError) {
        var record: JSON = [:]
        if let wish = wishes[id] { record["addresses"] = wish }
        if let name = names[id] { record["name"] = .string(name) }
        var listed: JSON = [:]
        for (node, twin) in twins[id] ?? [:] { listed[node.name] = .string(twin) }
        record["twins"] = listed
        try journal.put(network: id, record)
    }
}
