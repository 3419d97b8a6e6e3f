internal import DockerAPI
internal import Fleet
internal import Glibc

/// The filters of `GET /images/json`, for images that this device's engine does not know of.
struct ImageFilter: Sendable {
    private let filters: DockerFilters
    /// When the images that `since` and `before` name were made, in seconds since 1970.
    var anchors: [String: Double] = [:]

    static let anchorKeys = ["since", "before"]

    init(_ query: Query) throws(DockerFailure) {
        filters = try query.filters()
    }

    func anchor(_ key: String) -> String? { filters.values(key).first }

    func admits(_ image: AwayImage) -> Bool {
        // Those that other nodes have for this device have a name, by which they are known.
        let dangling = filters.values("dangling")
        if dangling.contains(where: { ["1", "true"].contains($0) }) { return false }
        let labels = image.document["Config"]?["Labels"]
        for wanted in filters.values("label") {
            let parts = wanted.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let value = labels?[parts[0]]?.stringValue, parts.count == 1 || value == parts[1] else {
                return false
            }
        }
        if let since = anchors["since"], image.created <= since { return false }
        if let before = anchors["before"], image.created >= before { return false }
        let patterns = filters.values("reference")
        return patterns.isEmpty || !names(image).isEmpty
    }

    /// The names that the `reference` filter leaves; all without one.
    func names(_ image: AwayImage) -> [JSON] {
        let tags = image.document["RepoTags"]?.arrayValue ?? []
        let patterns = filters.values("reference")
        guard !patterns.isEmpty else { return tags }
        return tags.filter { tag in
            guard let reference = tag.stringValue.flatMap({ ImageReference($0) }) else { return false }
            return patterns.contains { (pattern: String) in
                fnmatch(pattern, reference.familiar, FNM_PATHNAME) == 0
                    || fnmatch(pattern, reference.familiarName, FNM_PATHNAME) == 0
            }
        }
    }
}
