import DockerAPI

/// The fields that a JSON object may have, and what becomes of each; the object is built anew from them.
///
/// Go's decoder takes `hostconfig`, `HOSTCONFIG` and `HoſtConfig` for `HostConfig`, and the last of several wins. So
/// what was checked here is written out again, under canonical keys only: nothing that was not checked gets through.
struct FieldTable: Sendable {
    private let fields: [String: Field]

    init(_ fields: [Field]) {
        var byKey: [String: Field] = [:]
        for field in fields { byKey[foldedKey(field.name)] = field }
        self.fields = byKey
    }

    /// - Parameter path: where the object stands, for messages: `HostConfig`; empty at the top.
    /// - Returns: the canonical object; empty for null.
    func rebuild(_ value: JSON, at path: String, in profile: CreateProfile) throws(DockerFailure) -> [(String, JSON)] {
        if case .null = value { return [] }
        guard case .object(let object) = value else {
            throw profile.malformed(path.isEmpty ? "it" : path, "must be an object")
        }
        var seen: Set<String> = []
        var result: [(String, JSON)] = []
        for member in object.members {
            let (key, value) = (member.key, member.value)
            let folded = foldedKey(key)
            let here = path.isEmpty ? key : "\(path).\(key)"
            guard seen.insert(folded).inserted else {
                throw profile.malformed(here, "is given twice (Docker does not tell upper from lower case in keys)")
            }
            guard let field = fields[folded] else {
                if value.isZero { continue }
                throw profile.refusal(here, "this version of Lighter does not know the field")
            }
            let path = path.isEmpty ? field.name : "\(path).\(field.name)"
            if let admitted = try field.admit(value, path, profile) { result.append((field.name, admitted)) }
        }
        return result
    }
}

/// One field: its canonical name and what is let through of its value; nil leaves it out.
struct Field: Sendable {
    let name: String
    let admit: @Sendable (_ value: JSON, _ path: String, _ profile: CreateProfile) throws(DockerFailure) -> JSON?
}

/// A key as Go's decoder compares it: ASCII letters in lower case, and the two other characters that fold to ASCII.
private func foldedKey(_ key: String) -> String {
    var scalars = String.UnicodeScalarView()
    for scalar in key.unicodeScalars {
        switch scalar {
        case "A"..."Z": scalars.append(Unicode.Scalar(UInt8(scalar.value | 0x20)))
        case "\u{017F}": scalars.append("s")
        case "\u{212A}": scalars.append("k")
        default: scalars.append(scalar)
        }
    }
    return String(scalars)
}

extension JSON {
    /// Whether the value says nothing, as Go's zero values do: null, false, 0, "", and what consists of these alone.
    var isZero: Bool {
        switch self {
        case .null: true
        case .bool(let flag): !flag
        case .number(let text): Double(text) == 0
        case .string(let text): text.utf8.isEmpty
        case .array(let items): items.allSatisfy(\.isZero)
        case .object(let object): object.members.allSatisfy { $0.value.isZero }
        }
    }
}
