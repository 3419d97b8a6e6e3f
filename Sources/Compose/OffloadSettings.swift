import Fleet
import Yams

/// What one or several blocks of settings say, key by key.
struct OffloadSettings: Hashable {
    private(set) var values: [OffloadKey: String] = [:]
    /// How far from the service each was said, where 0 is nearest.
    private var distances: [OffloadKey: Int] = [:]

    init() {}

    /// Reads a block; variables in values are left for Compose to fill in.
    /// - Throws: `ComposeError.Code.setting` naming the place, the key and what it takes.
    init(_ block: Yams.Node, at place: Place) throws(ComposeError) {
        guard let entries = block.entries else {
            throw place.refuse("write it as a mapping, such as policy: remote")
        }
        for (name, value) in entries {
            guard let key = OffloadKey(name: name) else {
                let known = OffloadKey.allCases.map(\.rawValue).joined(separator: ", ")
                throw place.refuse("unknown key '\(name)': use \(known)")
            }
            guard values[key] == nil else { throw place.refuse("\(key.rawValue) is there twice: keep one") }
            values[key] = try Self.text(of: value, for: key, calledAs: name, at: place)
            distances[key] = 0
        }
    }

    /// Takes from `others` what is not said here.
    mutating func fill(from others: OffloadSettings) {
        let beyond = (distances.values.max() ?? -1) + 1
        for (key, value) in others.values where values[key] == nil {
            values[key] = value
            distances[key] = beyond + (others.distances[key] ?? 0)
        }
    }

    /// Labels in a fixed order.
    var labels: [(key: String, value: String)] {
        OffloadKey.allCases.filter { $0 != overruled }.compactMap { key in values[key].map { (key.label, $0) } }
    }

    /// Of a target and policy local the one that was said further away; both name a place.
    private var overruled: OffloadKey? {
        guard values[.policy] == "local", let policy = distances[.policy], let target = distances[.target],
            policy != target
        else { return nil }
        return policy < target ? .target : .policy
    }

    private static func text(
        of value: Yams.Node, for key: OffloadKey, calledAs name: String, at place: Place
    ) throws(ComposeError) -> String {
        let text: String
        if key == .tags, case .sequence(let items) = value {
            let tags = items.compactMap(\.text)
            guard tags.count == items.count else { throw place.refuse("tags: write a list of words") }
            text = tags.joined(separator: ",")
        } else if let scalar = value.text {
            text = scalar
        } else {
            throw place.refuse("\(name): write one value" + (key == .tags ? " or a list of words" : ""))
        }
        guard !text.contains("$") else { return text }
        do {
            var overrides = PolicyOverrides()
            try overrides.set(key.rawValue, text, shownAs: name)
            try LighterLabel(rawValue: key.rawValue)?.check(text, shownAs: name)
        } catch {
            throw place.refuse("\(error)")
        }
        return text
    }
}

/// Where a block of settings stands, for a person.
struct Place {
    let file: String
    /// Nil for the top level.
    var service: String?
    let block: String

    func refuse(_ why: String, _ code: ComposeError.Code = .setting) -> ComposeError {
        let owner = service.map { "service \($0): " } ?? ""
        return ComposeError(code, "\(file): \(owner)\(block): \(why)")
    }
}
