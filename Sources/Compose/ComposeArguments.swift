/// Compose's arguments, of which those before its command say which files make up the project.
package struct ComposeArguments {
    package let words: [String]
    /// Values of `-f`; `-` is standard input.
    package private(set) var files: [String] = []
    package private(set) var projectDirectory: String?
    package private(set) var environmentFiles: [String] = []
    /// The words that give `files`.
    private var fileWords: Set<Int> = []

    /// An option of Compose 1 or 2 that takes a value.
    private enum Option {
        case file
        case directory
        case environment
        case other

        init?(_ word: String) {
            switch word {
            case "--file", "-f": self = .file
            case "--project-directory", "--workdir": self = .directory
            case "--env-file": self = .environment
            case "--project-name", "-p", "--profile", "--ansi", "--parallel", "--progress", "--host", "-H", "--context",
                "-c", "--log-level", "--tlscacert", "--tlscert", "--tlskey":
                self = .other
            default: return nil
            }
        }
    }

    package init(_ words: [String]) {
        self.words = words
        var index = 0
        while index < words.count, words[index].hasPrefix("-"), words[index] != "--" {
            let (name, attached) = Self.split(words[index])
            defer { index += 1 }
            guard let option = Option(name) else { continue }
            let first = index
            if attached == nil { index += 1 }
            guard let value = attached ?? (index < words.count ? words[index] : nil) else { return }
            switch option {
            case .file:
                files.append(value)
                fileWords.formUnion(first...index)
            case .directory: projectDirectory = value
            case .environment: environmentFiles.append(value)
            case .other: break
            }
        }
    }

    /// The same command for other files; none leaves it to the environment to name them.
    package func replacing(files: [String], projectDirectory: String?) -> [String] {
        let directory = projectDirectory.map { ["--project-directory", $0] } ?? []
        let others = words.enumerated().filter { !fileWords.contains($0.offset) }.map(\.element)
        return directory + files.flatMap { ["--file", $0] } + others
    }

    /// `--file=X`, `-fX` and `-f=X` hold their values themselves.
    private static func split(_ word: String) -> (name: String, value: String?) {
        if word.hasPrefix("--") {
            guard let sign = word.firstIndex(of: "=") else { return (word, nil) }
            return (String(word[..<sign]), String(word[word.index(after: sign)...]))
        }
        let value = word.dropFirst(2)
        return (String(word.prefix(2)), value.isEmpty ? nil : String(value.hasPrefix("=") ? value.dropFirst() : value))
    }
}
