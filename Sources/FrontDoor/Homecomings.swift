internal import Engine
internal import Images

/// Images on their way from another node to this device; everybody who waits for one shares it.
@NodeLoop
final class Homecomings {
    private var waiting: [LayerDigest: [CheckedContinuation<Result<LayerDigest, any Error>, Never>]] = [:]
    /// Whether the engine here refused an archive without the layers that it has, and took the whole.
    var takesWholeOnly = false

    nonisolated init() {}

    /// Waits until the image is here; `bring` is called where it is not on its way yet, and ends with `arrived`.
    /// - Returns: its id here.
    func share(_ id: LayerDigest, _ bring: () -> Void) async throws -> LayerDigest {
        let result = await withCheckedContinuation { continuation in
            let isFirst = waiting[id] == nil
            waiting[id, default: []].append(continuation)
            if isFirst { bring() }
        }
        return try result.get()
    }

    func arrived(_ id: LayerDigest, _ result: Result<LayerDigest, any Error>) {
        for waiter in waiting.removeValue(forKey: id) ?? [] { waiter.resume(returning: result) }
    }
}
