/// Which files make up the project, as Compose finds them.
struct ComposeFiles {
    enum Source: Hashable {
        /// `-f`.
        case arguments
        /// `COMPOSE_FILE`, or the names that Compose looks for where nothing is said.
        case environment
    }

    private(set) var names: [String] = []
    private(set) var source = Source.environment
    /// What stands between them in `COMPOSE_FILE`.
    private(set) var separator = ":"
    /// The project's folder, from the root.
    private(set) var directory: String

    /// In the order in which Compose prefers them.
    private static let defaults = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
    private static let overrides = [
        "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
    ]

    /// - Parameters:
    ///   - working: the folder in which the command was typed.
    ///   - read: the text of a file by its path from the root; nil where there is none.
    init(
        _ arguments: ComposeArguments, environment: [String: String], working: String, read: (String) -> String?
    ) {
        let given = arguments.projectDirectory.map { FilePath.absolute($0, from: working) }
        directory = given ?? working
        if !arguments.files.isEmpty {
            names = arguments.files
            source = .arguments
        } else {
            let settings = Self.settings(arguments, environment, working: working, directory: directory, read: read)
            if let separator = settings["COMPOSE_PATH_SEPARATOR"], !separator.isEmpty { self.separator = separator }
            if let list = settings["COMPOSE_FILE"] {
                names = Self.split(list, by: separator)
            } else {
                names = Self.found(from: directory, read: read)
            }
        }
        if given == nil, let first = names.first(where: { $0 != "-" }) {
            directory = FilePath.parent(of: FilePath.absolute(first, from: working))
        }
    }

    /// The first folder upwards that has a file of a usual name, with its override.
    private static func found(from folder: String, read: (String) -> String?) -> [String] {
        var folder = folder
        while true {
            let paths = { (names: [String]) in names.map { FilePath.absolute($0, from: folder) } }
            if let file = paths(defaults).first(where: { read($0) != nil }) {
                return [file] + (paths(overrides).first { read($0) != nil }.map { [$0] } ?? [])
            }
            guard folder != "/" else { return [] }
            folder = FilePath.parent(of: folder)
        }
    }

    /// The environment's settings before those of environment files, of which the last counts.
    private static func settings(
        _ arguments: ComposeArguments, _ environment: [String: String], working: String, directory: String,
        read: (String) -> String?
    ) -> [String: String] {
        var paths = arguments.environmentFiles.map { FilePath.absolute($0, from: working) }
        if paths.isEmpty, let list = environment["COMPOSE_ENV_FILES"], !list.isEmpty {
            paths = list.split(separator: ",").map { FilePath.absolute(String($0), from: working) }
        }
        if paths.isEmpty, !["1", "t", "true"].contains(environment["COMPOSE_DISABLE_ENV_FILE"]?.lowercased() ?? "") {
            paths = [FilePath.absolute(".env", from: directory)]
        }
        var settings: [String: String] = [:]
        for line in paths.compactMap(read).flatMap({ $0.split(whereSeparator: \.isNewline) }) {
            guard let (key, value) = assignment(line), key.hasPrefix("COMPOSE_") else { continue }
            settings[key] = value
        }
        return settings.merging(environment) { _, own in own }
    }

    /// `KEY=VALUE` of an environment file, with `export`, quotes and a comment taken off.
    private static func assignment(_ line: Substring) -> (key: String, value: String)? {
        guard let sign = line.firstIndex(of: "=") else { return nil }
        guard let key = line[..<sign].split(separator: " ").last, !line.hasPrefix("#") else { return nil }
        let text = line[line.index(after: sign)...].drop { $0 == " " }
        if let quote = text.first, quote == "\"" || quote == "'" {
            return (String(key), String(text.dropFirst().prefix { $0 != quote }))
        }
        var value = text
        if let comment = text.indices.first(where: { text[$0...].hasPrefix(" #") }) { value = text[..<comment] }
        while value.last == " " { value.removeLast() }
        return (String(key), String(value))
    }

    private static func split(_ list: String, by separator: String) -> [String] {
        var parts: [String] = []
        var rest = list[...]
        while let start = rest.indices.first(where: { rest[$0...].hasPrefix(separator) }) {
            parts.append(String(rest[..<start]))
            rest = rest[start...].dropFirst(separator.count)
        }
        return parts + [String(rest)]
    }
}
