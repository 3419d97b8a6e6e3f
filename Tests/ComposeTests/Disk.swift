@testable import Compose

/// Files by their paths from the root, and what Compose is given instead of and beside them.
struct Disk: ExpressibleByDictionaryLiteral {
    private let files: [String: String]

    init(dictionaryLiteral elements: (String, String)...) {
        files = Dictionary(uniqueKeysWithValues: elements)
    }

    func read(_ path: String) -> String? { files[path] }

    func project(_ names: String..., directory: String = "/app") throws -> ComposeProject {
        try ComposeProject(files: names, from: "/app", directory: directory, read: read)
    }

    func invocation(
        _ words: String..., environment: [String: String] = [:], working: String = "/app"
    ) throws -> ComposeInvocation {
        try ComposeInvocation(words, environment: environment, working: working, read: read)
    }

    /// The labels that each service of one file is given.
    static func labels(_ text: String) throws -> [String: [String: String]] {
        let disk: Disk = ["/app/compose.yaml": text]
        return try disk.project("compose.yaml").labels
    }
}

extension ComposeProject {
    /// Of the overlay, read with no more than its own form in mind.
    var labels: [String: [String: String]] {
        var labels: [String: [String: String]] = [:]
        var service = ""
        for line in overlay?.split(separator: "\n") ?? [] {
            let indent = line.prefix { $0 == " " }.count
            let words = line.dropFirst(indent).split(separator: "\"", omittingEmptySubsequences: false)
            if indent == 2 { service = String(words[1]) }
            if indent == 6 { labels[service, default: [:]][String(words[1])] = String(words[3]) }
        }
        return labels
    }
}
