/// The real Compose's call in place of the one that was typed.
package struct ComposeInvocation {
    /// Texts that Compose must be able to open; `call(opening:)` wants their paths in the same order.
    package private(set) var texts: [String] = []
    /// Whether Compose gets what was typed, and with it the standard input that was typed.
    package var isAsTyped: Bool { texts.isEmpty }

    private let arguments: ComposeArguments
    private let chosen: ComposeFiles
    /// Files as Compose gets them.
    private var files: [File] = []

    private enum File {
        case asTyped(String)
        /// The text of this number.
        case text(Int)
    }

    /// - Parameters:
    ///   - words: what was typed after `compose`.
    ///   - working: the folder in which it was typed, from the root.
    ///   - read: the text of a file, by its path from the root, or `-` for standard input; nil where there is none.
    /// - Throws: `ComposeError`, one line, when a file says something of Lighter's that it does not know.
    package init(
        _ words: [String], environment: [String: String], working: String, read: (String) -> String?
    ) throws(ComposeError) {
        arguments = ComposeArguments(words)
        chosen = ComposeFiles(arguments, environment: environment, working: working, read: read)
        let project = try ComposeProject(
            files: chosen.names, from: working, directory: chosen.directory, read: read)
        guard !project.isPlain else { return }
        for name in chosen.names {
            if let text = project.replaced[name] {
                texts.append(text)
                files.append(.text(texts.count - 1))
            } else {
                files.append(.asTyped(name))
            }
        }
        if let overlay = project.overlay {
            texts.append(overlay)
            files.append(.text(texts.count - 1))
        }
    }

    /// Compose's arguments, and what to set in its environment.
    /// - Parameter paths: where Compose can open `texts`.
    package func call(opening paths: [String]) -> (arguments: [String], environment: [String: String]) {
        guard !isAsTyped else { return (arguments.words, [:]) }
        let names = files.map { file in
            switch file {
            case .asTyped(let name): name
            case .text(let number): paths[number]
            }
        }
        let directory = needsDirectory ? chosen.directory : nil
        guard chosen.source == .environment else {
            return (arguments.replacing(files: names, projectDirectory: directory), [:])
        }
        // No -f: with it, Compose would not look for .env where the command was typed.
        let separator = names.contains { $0.contains(chosen.separator) } ? "\n" : chosen.separator
        let list = names.joined(separator: separator)
        return (
            arguments.replacing(files: [], projectDirectory: directory),
            ["COMPOSE_FILE": list, "COMPOSE_PATH_SEPARATOR": separator]
        )
    }

    /// Compose takes the folder of its first file for the project's: that must not be the folder of a text.
    private var needsDirectory: Bool {
        guard arguments.projectDirectory == nil, case .text = files.first else { return false }
        return true
    }
}
