import DockerAPI

/// The shapes that fields have. Null is Go's zero value everywhere, and left out.
extension Field {
    /// Never let through; zero values, which clients send for every field there is, are left out.
    static func refused(_ name: String, _ why: String, setting: String? = nil) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            guard value.isZero else { throw profile.refusal(path, why, setting: setting) }
            return nil
        }
    }

    /// Of no meaning to the engine, or only to Windows' engines: left out.
    static func dropped(_ name: String) -> Field {
        Field(name: name) { (_, _, _) throws(DockerFailure) in nil }
    }

    static func flag(
        _ name: String, _ check: @escaping @Sendable (Bool, String, CreateProfile) throws(DockerFailure) -> Void = any
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            switch value {
            case .null: return nil
            case .bool(let flag):
                try check(flag, path, profile)
                return value
            default: throw profile.malformed(path, "must be true or false")
            }
        }
    }

    static func text(
        _ name: String, _ check: @escaping @Sendable (String, String, CreateProfile) throws(DockerFailure) -> Void = any
    ) -> Field {
        mappedText(name) { (text, path, profile) throws(DockerFailure) in
            try check(text, path, profile)
            return text
        }
    }

    /// A text that may be replaced by another.
    static func mappedText(
        _ name: String, _ map: @escaping @Sendable (String, String, CreateProfile) throws(DockerFailure) -> String
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            return .string(try map(try value.text(path, profile), path, profile))
        }
    }

    static func integer(
        _ name: String, _ check: @escaping @Sendable (Int64, String, CreateProfile) throws(DockerFailure) -> Void = any
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            let number = try value.integer(path, profile)
            try check(number, path, profile)
            return .number(String(number))
        }
    }

    static func texts(
        _ name: String, _ check: @escaping @Sendable (String, String, CreateProfile) throws(DockerFailure) -> Void = any
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            guard case .array(let items) = value else { throw profile.malformed(path, "must be a list of strings") }
            for item in items { try check(try item.text(path, profile), path, profile) }
            return value
        }
    }

    /// A command line: one string or a list of them.
    static func command(_ name: String) -> Field {
        let list = texts(name)
        return Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .string = value { return value }
            return try list.admit(value, path, profile)
        }
    }

    /// A map from string to string; its keys are data, so that case matters.
    static func map(
        _ name: String,
        _ change:
            @escaping @Sendable (_ key: String, _ value: String, String, CreateProfile) throws(DockerFailure) ->
            String = { (_, value, _, _) throws(DockerFailure) in value }
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            var pairs: [(String, JSON)] = []
            for (key, value) in try value.entries(path, profile) {
                let here = "\(path)[\(key)]"
                pairs.append((key, .string(try change(key, try value.text(here, profile), here, profile))))
            }
            return pairs.isEmpty ? nil : .object(pairs)
        }
    }

    /// A set, as Go spells it: a map whose values are empty objects.
    static func set(_ name: String) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            let entries = try value.entries(path, profile)
            guard entries.allSatisfy(\.1.isZero) else { throw profile.malformed(path, "must map names to {}") }
            return entries.isEmpty ? nil : .object(entries.map { ($0.0, .object([])) })
        }
    }

    static func structure(
        _ name: String, _ table: FieldTable,
        _ check: @escaping @Sendable ([(String, JSON)], String, CreateProfile) throws(DockerFailure) -> Void = any
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            let pairs = try table.rebuild(value, at: path, in: profile)
            try check(pairs, path, profile)
            return .object(pairs)
        }
    }

    /// - Parameter adjust: as `check`, and may change the element.
    static func structures(
        _ name: String, _ table: FieldTable,
        _ check: @escaping @Sendable ([(String, JSON)], String, CreateProfile) throws(DockerFailure) -> Void = any,
        adjust: (@Sendable (inout [(String, JSON)], String, CreateProfile) throws(DockerFailure) -> Void)? = nil
    ) -> Field {
        Field(name: name) { (value, path, profile) throws(DockerFailure) in
            if case .null = value { return nil }
            guard case .array(let items) = value else { throw profile.malformed(path, "must be a list") }
            var rebuilt: [JSON] = []
            for (index, item) in items.enumerated() {
                let here = "\(path)[\(index)]"
                var pairs = try table.rebuild(item, at: here, in: profile)
                try check(pairs, here, profile)
                try adjust?(&pairs, here, profile)
                rebuilt.append(.object(pairs))
            }
            return .array(rebuilt)
        }
    }

    /// Lets everything of the right shape pass.
    @Sendable static func any<T>(_ value: T, _ path: String, _ profile: CreateProfile) throws(DockerFailure) {}
}

extension JSON {
    func text(_ path: String, _ profile: CreateProfile) throws(DockerFailure) -> String {
        guard case .string(let text) = self else { throw profile.malformed(path, "must be a string") }
        return text
    }

    func integer(_ path: String, _ profile: CreateProfile) throws(DockerFailure) -> Int64 {
        guard case .number(let digits) = self, let number = Int64(digits) else {
            throw profile.malformed(path, "must be a whole number of 64 bits")
        }
        return number
    }

    /// A map's entries; the same key twice is refused, as Go would keep the last only.
    func entries(_ path: String, _ profile: CreateProfile) throws(DockerFailure) -> [(String, JSON)] {
        if case .null = self { return [] }
        guard case .object(let object) = self else { throw profile.malformed(path, "must be an object") }
        var seen: Set<[UInt8]> = []
        var entries: [(String, JSON)] = []
        for member in object.members {
            guard seen.insert(Array(member.key.utf8)).inserted else {
                throw profile.malformed("\(path)[\(member.key)]", "is given twice")
            }
            entries.append((member.key, member.value))
        }
        return entries
    }
}

extension [(String, JSON)] {
    /// The value under a canonical key.
    func first(_ name: String) -> JSON? { first { $0.0 == name }?.1 }
}

extension JSON {
    static func object(_ pairs: [(String, JSON)]) -> JSON {
        .object(JSONObject(pairs.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
}
