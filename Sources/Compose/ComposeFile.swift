import Yams

/// A Compose file as it was written, and what it says.
struct ComposeFile {
    /// As a person named it; `-` is standard input.
    let name: String
    /// From the root, or `-`.
    let path: String
    let text: String
    /// YAML lets one file hold several, of which each is laid over those before it.
    let documents: [Node]

    /// A file that is no YAML has no documents, so that Compose complains of it in its own words.
    /// - Throws: `ComposeError.Code.malformed` when there are settings in it that would be lost.
    init(name: String, path: String, text: String) throws(ComposeError) {
        self.name = name
        self.path = path
        self.text = text
        do {
            var documents: [Node] = []
            let parser = try Parser(yaml: text, encoding: .utf8)
            while let document = try parser.nextRoot() { documents.append(document) }
            self.documents = documents
        } catch {
            guard !OffloadBlock.allCases.contains(where: { text.contains($0.rawValue) }) else {
                let reason = "\(error)".split(whereSeparator: \.isNewline).first ?? "it cannot be read"
                throw ComposeError(.malformed, "\(Self.title(name)): this is no YAML: \(reason)")
            }
            documents = []
        }
    }

    /// Its name in a sentence.
    var title: String { Self.title(name) }

    private static func title(_ name: String) -> String { name == "-" ? "standard input" : name }
}

/// The blocks that hold settings, of which the second comes before the first.
enum OffloadBlock: String, CaseIterable {
    case extensionField = "x-offload"
    /// Compose knows no such key: only a file that it does not read from disk may have it.
    case policy = "offload_policy"
}
