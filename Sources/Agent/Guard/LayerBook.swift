import DockerAPI
import Engine
import Images

/// Which layers this node's engine has: those of its images, by chain id.
@NodeLoop
final class LayerBook {
    /// Layers of one question; an engine takes no image of more than 127.
    static let askLimit = 128
    /// Images that are looked at for one question. Layers of any others are taken to be missing, and are sent again.
    private static let imageLimit = 2048

    private let client: DockerClient
    /// By image id, which is the digest of what says so: it never changes. No more than the engine has.
    private var chains: [String: Set<LayerDigest>] = [:]

    nonisolated init(client: DockerClient) { self.client = client }

    /// Those that no image of the engine has. Intermediate images are not asked for: each has a listed one above it.
    func missing(of asked: [LayerDigest]) async throws(DockerFailure) -> Set<LayerDigest> {
        let list = try await client.ask("/images/json", limit: 32 << 20)?.arrayValue ?? []
        let ids = list.prefix(Self.imageLimit).compactMap {
            $0["Id"]?.stringValue.flatMap { LayerDigest($0)?.description }
        }
        let present = Set(ids)
        chains = chains.filter { present.contains($0.key) }
        var missing = Set(asked)
        for id in ids where !missing.isEmpty { missing.subtract(try await chain(of: id)) }
        return missing
    }

    private func chain(of id: String) async throws(DockerFailure) -> Set<LayerDigest> {
        if let known = chains[id] { return known }
        // It may be gone since it was listed.
        guard let image = try await client.ask("/images/\(id)/json") else { return [] }
        let layers =
            image["RootFS"]?["Layers"]?.arrayValue?.compactMap { $0.stringValue.flatMap { LayerDigest($0) } } ?? []
        let chain = Set(LayerDigest.chain(of: layers))
        chains[id] = chain
        return chain
    }
}
