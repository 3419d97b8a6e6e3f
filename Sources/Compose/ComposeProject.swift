import Yams

/// What must be handed to Compose instead of, and beside, the files that a person wrote.
package struct ComposeProject {
    /// Files that Compose would refuse or cannot read again, by the names under which they were given, as it takes them.
    package private(set) var replaced: [String: String] = [:]
    /// A file to be laid over all others, which gives services their labels; nil when there are none to give.
    package private(set) var overlay: String?

    /// Whether Compose can be left alone with the files as they are.
    package var isPlain: Bool { replaced.isEmpty && overlay == nil }

    /// - Parameters:
    ///   - files: as Compose opens them, the first at the bottom; `-` is standard input.
    ///   - working: the folder where `files` begin.
    ///   - directory: the project's folder, from the root, where paths in the files begin.
    ///   - read: the text of a file, by its path from the root, or `-`; nil where it cannot be read.
    /// - Throws: `ComposeError`, one line.
    package init(
        files names: [String], from working: String, directory: String, read: (String) -> String?
    ) throws(ComposeError) {
        var files: [ComposeFile] = []
        for name in names {
            let path = name == "-" ? name : FilePath.absolute(name, from: working)
            guard let text = read(path) else { continue }
            files.append(try ComposeFile(name: name, path: path, text: text))
        }
        let services = try withoutActuallyEscaping(read) { (read) throws(ComposeError) in
            try ProjectReader(read: read).services(files, in: directory)
        }
        for file in files {
            let renaming = PolicyRenaming(file)
            if renaming.isNeeded { replaced[file.name] = try renaming.applied(to: file) }
        }
        let labels = services.mapValues(\.added).filter { !$0.value.isEmpty }
        if !labels.isEmpty {
            overlay = Self.overlay(labels, version: files.first?.documents.first?[entry: "version"]?.text)
        }
        // Compose 1 takes standard input alone only.
        if !isPlain, replaced["-"] == nil { replaced["-"] = files.first { $0.name == "-" }?.text }
    }

    /// - Parameter version: that of the first file, from which Compose 1 lets no other differ.
    private static func overlay(_ services: [String: [(key: String, value: String)]], version: String?) -> String {
        var text = version.map { "version: \(quoted($0))\n" } ?? ""
        text += "services:\n"
        for (name, labels) in services.sorted(by: { $0.key < $1.key }) {
            text += "  \(quoted(name)):\n    labels:\n"
            for (key, value) in labels { text += "      \(quoted(key)): \(quoted(value))\n" }
        }
        return text
    }

    /// A double-quoted scalar.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\u{0}"..<" ", "\u{7f}"..."\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
