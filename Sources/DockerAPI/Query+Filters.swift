/// Docker's `filters` parameter: names with sets of values, in the order in which they came.
package struct DockerFilters: Sendable, Hashable {
    package private(set) var terms: [(name: String, values: [String])] = []

    package init() {}

    /// - Parameter text: JSON in the form of today, `{"label":["a","b"]}` reads as `{"label":{"a":true}}` did before 1.22.
    /// - Throws: `DockerFailure` 400 when it is neither.
    package init(_ text: String) throws(DockerFailure) {
        let refusal = DockerFailure(status: 400, message: "invalid filter: '\(text)' is not a JSON map of lists")
        guard let json = try? JSON.parse(Array(text.utf8)), case .object(let members) = json else { throw refusal }
        for member in members.members {
            var values: [String] = []
            switch member.value {
            case .array(let items):
                for item in items {
                    guard case .string(let value) = item else { throw refusal }
                    values.append(value)
                }
            case .object(let set):
                for entry in set.members {
                    guard case .bool(let isSet) = entry.value else { throw refusal }
                    if isSet { values.append(entry.key) }
                }
            default: throw refusal
            }
            for value in values { add(member.key, value) }
        }
    }

    package var isEmpty: Bool { terms.isEmpty }
    package var names: [String] { terms.map(\.name) }

    /// The values of a filter; empty when it is not there.
    package func values(_ name: String) -> [String] { terms.first { $0.name == name }?.values ?? [] }

    package func contains(_ name: String) -> Bool { terms.contains { $0.name == name } }

    package mutating func add(_ name: String, _ value: String) {
        guard let index = terms.firstIndex(where: { $0.name == name }) else {
            terms.append((name, [value]))
            return
        }
        if !terms[index].values.contains(value) { terms[index].values.append(value) }
    }

    package mutating func remove(_ name: String) { terms.removeAll { $0.name == name } }

    /// Takes these out of the filter by labels.
    package mutating func removeLabels(_ labels: [String]) {
        let rest = values("label").filter { !labels.contains($0) }
        remove("label")
        for label in rest { add("label", label) }
    }

    /// `{"label":{"a":true}}`: the form that every version of the engine reads.
    package var encoded: String {
        let members = terms.map { term in
            JSONObject.Member(
                key: term.name,
                value: .object(JSONObject(term.values.map { JSONObject.Member(key: $0, value: .bool(true)) })))
        }
        return JSON.object(JSONObject(members)).text
    }

    /// Docker's `label` and `label!` filters: all of the former hold, and none of the latter.
    package func admit(labels: JSON?) -> Bool {
        let holds = { (term: String) in
            let parts = term.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let value = labels?[parts[0]]?.stringValue else { return false }
            return parts.count == 1 || parts[1] == value
        }
        return values("label").allSatisfy(holds) && !values("label!").contains(where: holds)
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.terms.elementsEqual(b.terms) { $0.name == $1.name && $0.values == $1.values }
    }

    package func hash(into hasher: inout Hasher) {
        for term in terms {
            hasher.combine(term.name)
            hasher.combine(term.values)
        }
    }
}

extension Query {
    /// The `filters` parameter; empty when it is absent or empty.
    package func filters() throws(DockerFailure) -> DockerFilters {
        guard let text = first("filters"), !text.isEmpty else { return DockerFilters() }
        return try DockerFilters(text)
    }

    package mutating func setFilters(_ filters: DockerFilters) {
        if filters.isEmpty { remove("filters") } else { set("filters", filters.encoded) }
    }
}

extension DockerFilters: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral terms: (String, String)...) {
        self.init()
        for (name, value) in terms { add(name, value) }
    }
}
