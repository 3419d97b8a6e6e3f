internal import Engine
internal import Fleet
internal import NIOCore

/// One image on its way to one node; everybody who waits for it shares it.
@NodeLoop
final class Shipment {
    let image: LocalImage
    let target: NodeID
    private(set) var sent: Int64 = 0
    private(set) var result: Result<Void, any Error>?
    private var watchers: [Int: AsyncStream<Int64>.Continuation] = [:]
    private var next = 0

    init(image: LocalImage, target: NodeID) {
        self.image = image
        self.target = target
    }

    func advance(by bytes: Int) {
        sent += Int64(bytes)
        for watcher in watchers.values { watcher.yield(sent) }
    }

    func end(_ result: Result<Void, any Error>) {
        self.result = result
        for watcher in watchers.values { watcher.finish() }
        watchers = [:]
    }

    /// Bytes sent so far, whenever that changes; ends when the shipment does.
    func progress() -> AsyncStream<Int64> {
        let (stream, continuation) = AsyncStream<Int64>.makeStream(bufferingPolicy: .bufferingNewest(1))
        guard result == nil else {
            continuation.finish()
            return stream
        }
        watchers[next] = continuation
        next += 1
        return stream
    }

    /// Waits for the end.
    func wait() async throws {
        for await _ in progress() {}
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

    nonisolated init() {}

    /// The shipment of an image to a node: the one that is under way, or a new one that `begin` starts.
    func shipment(of image: LocalImage, to target: NodeID, begin: (Shipment) -> Void) -> Shipment {
        let key = Key(image: image.id, target: target)
        if let known = underway[key] { return known }
        let made = Shipment(image: image, target: target)
        underway[key] = made
        begin(made)
        return made
    }

    func ended(_ shipment: Shipment) {
        underway[Key(image: shipment.image.id, target: shipment.target)] = nil
    }
}
