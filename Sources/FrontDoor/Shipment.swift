internal import Engine
internal import Fleet
internal import Images
internal import NIOCore

/// One image on its way to one node; everybody who waits for it shares it.
@NodeLoop
final class Shipment {
    enum Layer: Sendable, Hashable {
        case waiting
        /// The node has it.
        case present
        case moving(sent: Int64, size: Int64)
        /// The node has got it from a neighbour, for the archive that is still to come.
        case fetched
        case arrived
    }

    let image: LocalImage
    let chainIDs: [LayerDigest]
    let target: NodeID
    /// Where this device does not have the image itself: what only another node has.
    let away: AwayImage?
    /// Bytes of the archive that left this device.
    private(set) var sent: Int64 = 0
    /// Bytes of layers that the node had of an earlier try that was cut short.
    private(set) var spared: Int64 = 0
    /// Which layers neighbours gave, by diff id, and what is told of that.
    private(set) var givers: [LayerDigest: NodeID] = [:]
    private(set) var remarks: [String] = []
    /// By diff id.
    private(set) var layers: [LayerDigest: Layer]
    private(set) var result: Result<Void, any Error>?
    var hasFailed: Bool { if case .failure = result { true } else { false } }
    /// Shipments to the same node that began before this one and bring a layer of it.
    fileprivate var ahead: [Shipment] = []
    fileprivate var leads: [Shipment] = []
    let news = News()

    init(image: LocalImage, target: NodeID, away: AwayImage? = nil) {
        self.image = image
        self.target = target
        self.away = away
        chainIDs = LayerDigest.chain(of: image.diffIDs)
        layers = Dictionary(image.diffIDs.map { ($0, .waiting) }) { first, _ in first }
    }

    /// Returns when what others bring is there, so that no layer travels twice.
    func waitForSharedLayers() async {
        for other in ahead { try? await other.wait() }
        ahead = []
    }

    /// Shipments of the same image to other nodes that began before this one; told once.
    func takeLeads() -> [Shipment] {
        defer { leads = [] }
        return leads
    }

    /// An archive with the layers whose chain ids are missing is about to leave.
    func begin(missing: Set<LayerDigest>) {
        for layer in image.diffIDs { layers[layer] = .present }
        for (layer, chain) in zip(image.diffIDs, chainIDs) where missing.contains(chain) {
            layers[layer] = givers[layer] == nil ? .waiting : .fetched
        }
        news.tell()
    }

    func advance(by bytes: Int, moving: SparseArchive.Moving?, arrived: Set<LayerDigest>, spared: Int64) {
        sent += Int64(bytes)
        self.spared = spared
        for layer in arrived { layers[layer] = .arrived }
        if let moving, givers[moving.layer] == nil {
            layers[moving.layer] = .moving(sent: moving.sent, size: moving.size)
        }
        news.tell()
    }

    /// A neighbour gives the node a layer.
    func fetching(_ layer: LayerDigest, got: Int64, size: Int64) {
        guard let state = layers[layer], state != .arrived else { return }
        layers[layer] = .moving(sent: got, size: size)
        news.tell()
    }

    /// A neighbour has given the node these layers.
    func fetched(_ arrived: Set<LayerDigest>, from node: NodeID) {
        for layer in arrived where layers[layer] != nil {
            givers[layer] = node
            layers[layer] = .fetched
        }
        news.tell()
    }

    /// Something that whoever waits for it may want to know.
    func remark(_ text: String) {
        remarks.append(text)
        news.tell()
    }

    func end(_ result: Result<Void, any Error>) {
        self.result = result
        // However the image got there, it is whole.
        if case .success = result {
            for layer in image.diffIDs where layers[layer] != .present { layers[layer] = .arrived }
        }
        news.end()
    }

    /// Yields whenever there is news; ends when the shipment does.
    func changes() -> AsyncStream<Void> { news.changes() }

    /// Waits for the end.
    func wait() async throws {
        for await _ in changes() {}
        try result?.get()
    }
}

/// What is on its way.
@NodeLoop
final class Shipments {
    struct Key: Hashable {
        var image: String
        var target: NodeID
    }

    private var underway: [Key: Shipment] = [:]
    /// Nodes whose engines refused an archive without the layers that they have, and took the whole.
    var takesWholeOnly: Set<NodeID> = []

    nonisolated init() {}

    var count: Int { underway.count }

    /// The shipment of an image to a node: the one that is under way, or a new one that `begin` starts.
    func shipment(
        of image: LocalImage, to target: NodeID, away: AwayImage? = nil, begin: (Shipment) -> Void
    ) -> Shipment {
        let key = Key(image: image.id, target: target)
        if let known = underway[key] { return known }
        let made = Shipment(image: image, target: target, away: away)
        let layers = Set(made.chainIDs)
        made.ahead = underway.values.filter { $0.target == target && !layers.isDisjoint(with: $0.chainIDs) }
        made.leads = underway.values.filter { $0.image.id == image.id }
        underway[key] = made
        begin(made)
        return made
    }

    func ended(_ shipment: Shipment) {
        underway[Key(image: shipment.image.id, target: shipment.target)] = nil
    }
}
