import Fleet
import Yams

/// What counts of a service, over all places that speak of it.
struct ServiceOutline {
    /// Labels of Lighter's that are written out: they come before settings.
    private(set) var labels: Set<String> = []
    private(set) var settings = OffloadSettings()
    private var replacesLabels = false
    private var replacesSettings = false

    init() {}

    /// Reads one service as it stands in one file.
    init(_ service: Yams.Node, named name: String, in file: String) throws(ComposeError) {
        if let node = service[entry: "labels"] {
            replacesLabels = node.mergeTag != nil
            if node.mergeTag != .reset { labels = Self.labels(node) }
        }
        for block in OffloadBlock.allCases {
            guard let node = service[entry: block.rawValue] else { continue }
            replacesSettings = replacesSettings || node.mergeTag != nil
            guard node.mergeTag != .reset else { continue }
            var found = try OffloadSettings(node, at: Place(file: file, service: name, block: block.rawValue))
            found.fill(from: settings)
            settings = found
        }
    }

    /// Takes from `base` what is not said here, as Compose merges labels.
    mutating func fill(from base: ServiceOutline) {
        if !replacesLabels { labels.formUnion(base.labels) }
        if !replacesSettings { settings.fill(from: base.settings) }
        replacesLabels = replacesLabels || base.replacesLabels
        replacesSettings = replacesSettings || base.replacesSettings
    }

    mutating func fill(from defaults: OffloadSettings) {
        settings.fill(from: defaults)
    }

    /// The labels that the settings add: none that is there, and no policy local beside a target that is.
    var added: [(key: String, value: String)] {
        let namesTarget = labels.contains(OffloadKey.target.label)
        return settings.labels.filter { key, value in
            !labels.contains(key) && !(namesTarget && key == OffloadKey.policy.label && value == "local")
        }
    }

    /// The names among labels in either form, `- NAME=VALUE` or `NAME: VALUE`.
    private static func labels(_ node: Yams.Node) -> Set<String> {
        let names: [String]
        if case .sequence(let items) = node {
            names = items.compactMap { item in item.text.map { String($0.prefix { $0 != "=" }) } }
        } else {
            names = node.entries?.map(\.name) ?? []
        }
        return Set(names.filter { $0.hasPrefix(PolicyOverrides.labelPrefix) })
    }
}
