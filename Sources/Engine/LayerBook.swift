package import DockerAPI
package import Images

/// Which layers an engine has: those of its images, by chain id.
@NodeLoop
package final class LayerBook {
    /// Layers of one question; an engine takes no image of more than 127.
    package static let askLimit = 128
    /// Images that are looked at for one question. Layers of any others are taken to be missing, and are sent again.
    private static let imageLimit = 2048

    private let client: DockerClient
    /// By image id, which is the digest of what says so: it never changes. No more than the engine has.
    private var chains: [String: [LayerDigest]] = [:]
    /// Of the same images' layers, bottom first, where somebody asked for them.
    private var sizes: [String: [Int64]] = [:]

    package nonisolated init(client: DockerClient) { self.client = client }

    /// Those that no image of the engine has. Intermediate images are not asked for: each has a listed one above it.
    package func missing(of asked: [LayerDigest]) async throws(EngineError) -> Set<LayerDigest> {
        let list = try await ask("/images/json", limit: 32 << 20)?.arrayValue ?? []
        let ids = list.prefix(Self.imageLimit).compactMap {
            $0["Id"]?.stringValue.flatMap { LayerDigest($0)?.description }
        }
        forget(allBut: ids)
        var missing = Set(asked)
        for id in ids where !missing.isEmpty { missing.subtract(try await chain(of: id)) }
        return missing
    }

    /// Forgets what is known of images that are gone.
    package func forget(allBut ids: [String]) {
        let present = Set(ids)
        chains = chains.filter { present.contains($0.key) }
        sizes = sizes.filter { present.contains($0.key) }
    }

    /// What each layer of an image takes, by chain id, as far as its engine tells.
    package func layerSizes(of id: String, whole: Int64) async throws(EngineError) -> [LayerDigest: Int64] {
        let chain = try await chain(of: id)
        if sizes[id] == nil {
            let history = try await ask("/images/\(id)/history", limit: 4 << 20)?.arrayValue ?? []
            sizes[id] = Self.layerSizes(history, layers: chain.count, whole: whole)
        }
        return Dictionary(zip(chain, sizes[id] ?? [])) { max($0, $1) }
    }

    /// A history tells sizes, but not which of its steps made a layer: those of some size did. Where that does not fit, the
    /// image's size is shared out evenly.
    package nonisolated static func layerSizes(_ history: [JSON], layers: Int, whole: Int64) -> [Int64] {
        let sizes = history.reversed().compactMap { $0["Size"]?.intValue }
        if sizes.count == layers { return sizes }
        let some = sizes.filter { $0 > 0 }
        if some.count == layers { return some }
        return Array(repeating: whole / Int64(max(1, layers)), count: layers)
    }

    /// The chain ids of an image's layers, bottom first; empty when the engine has no such image.
    package func chain(of id: String) async throws(EngineError) -> [LayerDigest] {
        if let known = chains[id] { return known }
        // It may be gone since it was listed.
        guard let image = try await ask("/images/\(id)/json", limit: 4 << 20) else { return [] }
        let layers =
            image["RootFS"]?["Layers"]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        let chain = LayerDigest.chain(of: layers)
        chains[id] = chain
        return chain
    }

    /// nil when the engine knows no such thing.
    private func ask(_ target: String, limit: Int) async throws(EngineError) -> JSON? {
        let answer = try await client.request("GET", target, limit: limit, timeout: .seconds(30))
        if answer.status == 404 || answer.status == 400 { return nil }
        return try answer.checked().json()
    }
}
