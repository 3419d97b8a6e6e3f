/// A pattern over the names of a path: `*`, `?` and `[a-z]` within a name, `**` for any number of names.
struct PathPattern: Sendable, Hashable {
    static let anyDepth = Array("**".utf8)

    let names: [[UInt8]]

    init(names: [[UInt8]]) { self.names = names }

    func matches(_ path: [ArraySlice<UInt8>]) -> Bool {
        // `reached[i]`: the patterns so far match the first i names. No pattern makes this slower than names x patterns.
        var reached = [Bool](repeating: false, count: path.count + 1)
        reached[0] = true
        for (position, pattern) in names.enumerated() {
            var next = [Bool](repeating: false, count: path.count + 1)
            if pattern == Self.anyDepth {
                // At the end it stands for what is in a folder, not for the folder itself.
                let isLast = position == names.count - 1
                var isOpen = false
                for index in 0...path.count {
                    next[index] = isLast ? isOpen : isOpen || reached[index]
                    isOpen = isOpen || reached[index]
                }
            } else {
                for index in path.indices where reached[index] {
                    next[index + 1] = Self.matches(path[index], pattern[...])
                }
            }
            reached = next
        }
        return reached[path.count]
    }

    /// One name against one pattern; goes back to the last star only, so that it stays quadratic at worst.
    private static func matches(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
        var (n, p) = (name.startIndex, pattern.startIndex)
        var retry: (name: Int, pattern: Int)?
        while n < name.endIndex {
            if p < pattern.endIndex, pattern[p] == UInt8(ascii: "*") {
                retry = (n, p + 1)
                p += 1
            } else if p < pattern.endIndex, let after = step(name[n], pattern, p) {
                n += 1
                p = after
            } else if let last = retry {
                retry = (last.name + 1, last.pattern)
                (n, p) = (last.name + 1, last.pattern)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Where the pattern goes on after it took `byte` at `index`; nil where it does not.
    private static func step(_ byte: UInt8, _ pattern: ArraySlice<UInt8>, _ index: Int) -> Int? {
        switch pattern[index] {
        case UInt8(ascii: "?"): return index + 1
        case UInt8(ascii: "\\") where index + 1 < pattern.endIndex: return pattern[index + 1] == byte ? index + 2 : nil
        case UInt8(ascii: "["):
            guard let end = pattern[(index + 1)...].dropFirst().firstIndex(of: UInt8(ascii: "]")) else { break }
            var set = pattern[(index + 1)..<end]
            let isNegated = set.first == UInt8(ascii: "!") || set.first == UInt8(ascii: "^")
            if isNegated { set.removeFirst() }
            return contains(set, byte) != isNegated ? end + 1 : nil
        default: break
        }
        return pattern[index] == byte ? index + 1 : nil
    }

    private static func contains(_ set: ArraySlice<UInt8>, _ byte: UInt8) -> Bool {
        var rest = set
        while let low = rest.popFirst() {
            if rest.first == UInt8(ascii: "-"), let high = rest.dropFirst().first {
                if low <= byte, byte <= high { return true }
                rest = rest.dropFirst(2)
            } else if low == byte {
                return true
            }
        }
        return false
    }
}
