internal import DockerAPI
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
    private var chains: [String: Set<LayerDigest>] = [:]

    package nonisolated init(client: DockerClient) { self.client = client }

    /// Those that no image of the engine has. Intermediate images are not asked for: each has a listed one above it.
    package func missing(of asked: [LayerDigest]) async throws(EngineError) -> Set<LayerDigest> {
        let list = try await ask("/images/json", limit: 32 << 20)?.arrayValue ?? []
        let ids = list.prefix(Self.imageLimit).compactMap {
            $0["Id"]?.stringValue.flatMap { LayerDigest($0)?.description }
        }
        let present = Set(ids)
        chains = chains.filter { present.contains($0.key) }
        var missing = Set(asked)
        for id in ids where !missing.isEmpty { missing.subtract(try await chain(of: id)) }
        return missing
    }

    private func chain(of id: String) async throws(EngineError) -> Set<LayerDigest> {
        if let known = chains[id] { return known }
        // It may be gone since it was listed.
        guard let image = try await ask("/images/\(id)/json", limit: 4 << 20) else { return [] }
        let layers =
            image["RootFS"]?["Layers"]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        let chain = Set(LayerDigest.chain(of: layers))
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
