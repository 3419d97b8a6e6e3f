/// What a `.lighterignore` says, in the way of `.gitignore`: the last pattern that fits decides.
///
/// Both sides use the origin's rules. The sync's own temporary files are always ignored.
struct IgnoreRules: Sendable, Hashable {
    static let fileName = Array(".lighterignore".utf8)
    /// A longer file is cut off here.
    static let limit = 64 << 10
    static let none = IgnoreRules([])

    private struct Rule: Sendable, Hashable {
        var isNegated = false
        var isForFolders = false
        var pattern = PathPattern(names: [])
    }

    let text: [UInt8]
    private let rules: [Rule]

    init(_ text: [UInt8]) {
        self.text = Array(text.prefix(Self.limit))
        rules = self.text.split(separator: UInt8(ascii: "\n")).compactMap(Self.rule)
    }

    private static func rule(_ line: ArraySlice<UInt8>) -> Rule? {
        var line = line
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        while line.last == UInt8(ascii: " "), line.dropLast().last != UInt8(ascii: "\\") { line.removeLast() }
        guard let first = line.first, first != UInt8(ascii: "#") else { return nil }
        var rule = Rule()
        if first == UInt8(ascii: "!") {
            rule.isNegated = true
            line.removeFirst()
        }
        if line.last == UInt8(ascii: "/") {
            rule.isForFolders = true
            line.removeLast()
        }
        guard !line.isEmpty else { return nil }
        // A slash anywhere but at the end ties the pattern to the root.
        let isAnchored = line.contains(UInt8(ascii: "/"))
        let names = line.split(separator: UInt8(ascii: "/")).map { Array($0) }
        rule.pattern = PathPattern(names: isAnchored ? names : [PathPattern.anyDepth] + names)
        return rule
    }

    /// Whether a path whose parents are not ignored stays out of the mount.
    func ignores(_ path: TreePath, isFolder: Bool) -> Bool {
        if TemporaryName.isOne(path.name) { return true }
        guard !rules.isEmpty, !path.isRoot else { return false }
        let names = path.names
        for rule in rules.reversed() where isFolder || !rule.isForFolders {
            if rule.pattern.matches(names) { return !rule.isNegated }
        }
        return false
    }

    /// Whether a path stays out of the mount, also because of a folder above it.
    func excludes(_ path: TreePath, isFolder: Bool) -> Bool {
        if ignores(path, isFolder: isFolder) { return true }
        var folder = path.parent
        while !folder.isRoot {
            if ignores(folder, isFolder: true) { return true }
            folder = folder.parent
        }
        return false
    }
}
