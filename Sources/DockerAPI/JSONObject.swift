/// A JSON object's members in their order, duplicates included.
package struct JSONObject: Sendable, Hashable {
    package struct Member: Sendable, Hashable {
        package var key: String
        package var value: JSON

        package init(key: String, value: JSON) {
            self.key = key
            self.value = value
        }
    }

    package var members: [Member]

    package init(_ members: [Member] = []) { self.members = members }

    package var isEmpty: Bool { members.isEmpty }
    package var keys: [String] { members.map(\.key) }

    /// The (last) member with exactly these bytes for a name.
    package subscript(_ key: String) -> JSON? {
        get { members.last { $0.key.utf8.elementsEqual(key.utf8) }?.value }
        set {
            guard let newValue else {
                members.removeAll { $0.key.utf8.elementsEqual(key.utf8) }
                return
            }
            replace(with: Member(key: key, value: newValue)) { $0.utf8.elementsEqual(key.utf8) }
        }
    }

    /// The member that Go's decoder would end up with for the field `name`.
    package func value(named name: String) -> JSON? {
        members.last { GoFold.equal($0.key, name) }?.value
    }

    package mutating func set(_ value: JSON, named name: String) {
        replace(with: Member(key: name, value: value)) { GoFold.equal($0, name) }
    }

    package mutating func remove(named name: String) {
        members.removeAll { GoFold.equal($0.key, name) }
    }

    /// Puts `member` where the first one that matches was, and drops the others; at the end when none did.
    private mutating func replace(with member: Member, where matches: (String) -> Bool) {
        guard let index = members.firstIndex(where: { matches($0.key) }) else {
            members.append(member)
            return
        }
        members[index] = member
        let rest = members[(index + 1)...].filter { !matches($0.key) }
        members.replaceSubrange((index + 1)..., with: rest)
    }
}

/// How Go's encoding/json compares a member's name with a field's: simple case folding.
///
/// Besides `A-Z` two characters fold to ASCII letters: U+017F (long s) and U+212A (Kelvin sign). A filter that forgets them
/// lets `HoſtConfig` through as an unknown member, and the engine reads it as HostConfig.
enum GoFold {
    /// Allocates nothing unless a character past ASCII is where the two differ.
    static func equal(_ a: String, _ b: String) -> Bool {
        var left = a.utf8.makeIterator()
        var right = b.utf8.makeIterator()
        while true {
            switch (left.next(), right.next()) {
            case (nil, nil): return true
            case (let x?, let y?):
                if ASCII.lower(x) == ASCII.lower(y) { continue }
                if x < 0x80, y < 0x80 { return false }
                return fold(a).elementsEqual(fold(b))
            // Nothing folds to nothing: the longer one has a character more.
            default: return false
            }
        }
    }

    /// Equal for names that are equal here; seeded by the process, so that nobody can aim at collisions.
    static func hash(_ text: String) -> Int {
        var hasher = Hasher()
        if text.utf8.allSatisfy({ $0 < 0x80 }) {
            for byte in text.utf8 { hasher.combine(ASCII.lower(byte)) }
        } else {
            for byte in fold(text) { hasher.combine(byte) }
        }
        return hasher.finalize()
    }

    static func fold(_ text: String) -> [UInt8] {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.map(ASCII.lower) }
        var result: [UInt8] = []
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x17f: result.append(UInt8(ascii: "s"))
            case 0x212a: result.append(UInt8(ascii: "k"))
            case ..<0x80: result.append(ASCII.lower(UInt8(scalar.value)))
            default: result += Array(String(scalar).utf8)
            }
        }
        return result
    }
}
