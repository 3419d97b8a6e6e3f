internal import DockerAPI
internal import Fleet
internal import Images

/// An image that this device's engine has.
struct LocalImage: Sendable, Hashable {
    /// The config digest: `sha256:…`.
    var id: String
    var size: ByteCount
    /// `repository@sha256:…` for images that came from a registry.
    var repositoryDigests: [String]
    /// Digests of its layers' contents, bottom first; empty where the engine does not say.
    var diffIDs: [LayerDigest]
    /// Whether its containers get volumes that nobody has asked for.
    var declaresVolumes: Bool

    /// Reads `GET /images/NAME/json`.
    init?(_ json: JSON) {
        guard let id = json["Id"]?.stringValue, id.hasPrefix("sha256:") else { return nil }
        self.id = id
        size = ByteCount(json["Size"]?.intValue ?? 0)
        repositoryDigests = json["RepoDigests"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let layers = json["RootFS"]?["Layers"]?.arrayValue ?? []
        let known = layers.compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        diffIDs = known.count == layers.count ? known : []
        declaresVolumes = json["Config"]?["Volumes"]?.objectValue?.isEmpty == false
    }
}
