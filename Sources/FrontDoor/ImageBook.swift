internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images

/// An image that was pulled for this device at another node, and that this device's engine does not have.
struct AwayImage: Sendable, Hashable {
    /// With a tag or a digest.
    var reference: ImageReference
    var id: LayerDigest
    var node: NodeID
    /// What the node's engine says of it, with the names that it has on this device.
    var document: JSON
}

/// The names of images that only other nodes have; kept in the journal, so that what was pulled stays pulled.
///
/// The device is the one with little disk: questions are answered from here, and layers come home only where they are needed.
@NodeLoop
final class ImageBook {
    private struct Known {
        var reference: ImageReference
        var id: LayerDigest
        var node: NodeID
    }

    private let journal: Journal
    /// By canonical name. What an engine says of an image is read from the journal where it is asked for.
    private var known: [String: Known] = [:]

    init(journal: Journal) {
        self.journal = journal
        for row in (try? journal.awayImages()) ?? [] {
            known[row.name] = ImageReference(row.name).map { Known(reference: $0, id: row.id, node: row.node) }
        }
    }

    var isEmpty: Bool { known.isEmpty }

    /// Whether a reference may mean one of them; answers without a look at the journal.
    func knows(_ reference: String) -> Bool { name(of: reference) != nil }

    /// What a reference means here, by Docker's rule: a name, then an id or the beginning of one.
    func find(_ reference: String) -> AwayImage? { name(of: reference).flatMap(image) }

    /// All names of an image.
    func names(of id: LayerDigest) -> [ImageReference] {
        known.values.filter { $0.id == id }.map(\.reference).sorted { $0.canonical < $1.canonical }
    }

    var names: [ImageReference] { known.values.map(\.reference) }

    /// One of each image, in no order.
    var images: [AwayImage] {
        let firsts = Dictionary(known.map { ($1.id, $0) }) { min($0, $1) }
        return firsts.values.compactMap(image)
    }

    func put(_ image: AwayImage) throws(FrontDoorError) {
        let name = image.reference.canonical
        known[name] = Known(reference: image.reference, id: image.id, node: image.node)
        try journal.putAwayImage(name, image)
    }

    func remove(_ reference: ImageReference) throws(FrontDoorError) {
        guard known.removeValue(forKey: reference.canonical) != nil else { return }
        try journal.removeAwayImage(reference.canonical)
    }

    private func name(of reference: String) -> String? {
        if let name = ImageReference(reference)?.resolved.canonical, known[name] != nil { return name }
        let digits = reference.hasPrefix("sha256:") ? reference.dropFirst(7) : reference[...]
        guard !digits.isEmpty, digits.utf8.count <= 64 else { return nil }
        let found = known.filter { $0.value.id.hex.hasPrefix(digits) }
        // A beginning that fits two images means neither.
        return Set(found.map(\.value.id)).count == 1 ? found.keys.min() : nil
    }

    private func image(_ name: String) -> AwayImage? {
        guard let entry = known[name], var document = (try? journal.awayImage(name)) ?? nil else { return nil }
        let names = names(of: entry.id)
        document["RepoTags"] = .array(names.filter { $0.digest == nil }.map { .string($0.familiar) })
        let repositories = Set(names.map(\.familiarName))
        document["RepoDigests"] = .array(
            (document["RepoDigests"]?.arrayValue ?? []).filter { digest in
                // Another device's names are none of this one's.
                digest.stringValue.flatMap { ImageReference($0)?.familiarName }.map(repositories.contains) ?? false
            })
        return AwayImage(reference: entry.reference, id: entry.id, node: entry.node, document: document)
    }
}

extension AwayImage {
    /// The image as `GET /images/json` lists it.
    var listed: JSON {
        let size = document["Size"] ?? 0
        return [
            "Containers": -1,
            "Created": .int(Int64(created)),
            "Id": .string("\(id)"), "Labels": document["Config"]?["Labels"] ?? .null, "ParentId": "",
            "RepoDigests": document["RepoDigests"] ?? [], "RepoTags": document["RepoTags"] ?? [], "SharedSize": -1,
            "Size": size, "VirtualSize": size,
        ]
    }

    /// Seconds since 1970.
    var created: Double { document["Created"]?.stringValue.flatMap(Timestamp.seconds) ?? 0 }

    var size: ByteCount { ByteCount(document["Size"]?.intValue ?? 0) }
}
