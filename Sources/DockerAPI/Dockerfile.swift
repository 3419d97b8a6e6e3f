/// A Dockerfile, as far as it says which images a build begins with.
///
/// Whatever is not plainly understood is an error: such a build stays where its author expects it.
package struct Dockerfile: Sendable, Hashable {
    /// Why a Dockerfile's base images cannot be told.
    package struct Doubt: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// Who reads it: BuildKit knows more instructions than the classic builder.
    package enum Builder: Sendable { case classic, kit }

    private struct Base: Sendable, Hashable {
        var line: Int
        var reference: String
        /// `AS name`; empty without one.
        var rest: String
    }

    private let lines: [String]
    private let bases: [Base]
    let stages: [Stage]
    let instructions: [Instruction]

    /// Images that the build begins with, each once.
    package var references: [String] {
        var seen: Set<String> = []
        return bases.map(\.reference).filter { seen.insert($0).inserted }
    }

    /// - Parameter arguments: of the build; they come before what the file says of them.
    package init(_ text: String, arguments: [String: String], builder: Builder = .classic) throws(Doubt) {
        var reader = Reader(arguments: arguments, builder: builder)
        // By bytes: to Swift, CR and LF together are one character.
        let lines = text.utf8.split(separator: ASCII.lf, omittingEmptySubsequences: false).map { line in
            String(decoding: line.last == ASCII.cr ? line.dropLast() : line, as: UTF8.self)
        }
        for (number, line) in lines.enumerated() { try reader.take(line, number) }
        guard reader.hasStage else { throw Doubt(description: "the Dockerfile has no FROM") }
        guard reader.documents.isEmpty else { throw Doubt(description: "a document in the Dockerfile does not end") }
        self.lines = lines
        bases = reader.bases
        (stages, instructions) = (reader.allStages, reader.instructions)
    }

    package var text: String { lines.joined(separator: "\n") }

    /// The same with each base named by its id, so that another engine's names do not matter.
    package func pinned(_ ids: [String: String]) -> String {
        var lines = lines
        for base in bases {
            guard let id = ids[base.reference] else { continue }
            lines[base.line] = "FROM \(id)" + (base.rest.isEmpty ? "" : " \(base.rest)")
        }
        return lines.joined(separator: "\n")
    }

    private struct Reader {
        var arguments: [String: String]
        var defaults: [String: String] = [:]
        var bases: [Base] = []
        var stages: [String] = []
        var hasStage: Bool { stageCount > 0 }
        private var stageCount: Int { allStages.count }
        private(set) var allStages: [Stage] = []
        private(set) var instructions: [Instruction] = []
        /// Whether the line before goes on in this one.
        private var continues = false
        private var isComment = true
        private let builder: Builder
        /// What ends the documents in which the lines are, the present one first.
        private(set) var documents: [(end: String, mayBeIndented: Bool)] = []

        init(arguments: [String: String], builder: Builder) {
            self.arguments = arguments
            self.builder = builder
        }

        mutating func take(_ line: String, _ number: Int) throws(Doubt) {
            if let (end, mayBeIndented) = documents.first {
                if line.drop(while: { mayBeIndented && $0 == "\t" }) == end { documents.removeFirst() }
                goesOn(to: number)
                return
            }
            let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            if words.first?.hasPrefix("#") == true {
                let directive = words.joined().lowercased()
                if isComment, directive.hasPrefix("#escape=") {
                    throw Doubt(description: "the Dockerfile has an escape character of its own")
                }
                if isComment, builder == .kit, directive.hasPrefix("#syntax=") {
                    throw Doubt(description: "the Dockerfile has a syntax of its own")
                }
                return
            }
            guard let first = words.first else { return }
            isComment = false
            let isContinued = continues
            continues = line.reversed().first { $0 != " " && $0 != "\t" } == "\\"
            if words.contains(where: { $0.contains("--from=") }) { try checkSource(words) }
            if builder == .kit {
                try checkMounts(words)
                if !isContinued, ["RUN", "COPY", "ADD"].contains(first.uppercased()) { openDocuments(words) }
            }
            guard !isContinued else { return goesOn(to: number) }
            defer {
                let (keyword, lines) = (first.uppercased(), number + 1...number + 1)
                instructions.append(Instruction(keyword: keyword, lines: lines, stage: stageCount - 1))
            }
            switch first.uppercased() {
            case "FROM":
                guard !continues else { throw Doubt(description: "a FROM goes over several lines") }
                try from(Array(words.dropFirst()), number)
            case "ARG" where !hasStage:
                guard !continues else { throw Doubt(description: "an ARG goes over several lines") }
                for word in words.dropFirst() { declare(word) }
            default: break
            }
        }

        private mutating func goesOn(to number: Int) {
            guard let last = instructions.indices.last else { return }
            instructions[last].lines = instructions[last].lines.lowerBound...number + 1
        }

        private mutating func declare(_ word: String) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            var value = parts.count > 1 ? parts[1] : ""
            for quote in ["\"", "'"] where value.count >= 2 && value.hasPrefix(quote) && value.hasSuffix(quote) {
                value = String(value.dropFirst().dropLast())
            }
            if let given = arguments[parts[0]] {
                defaults[parts[0]] = given
            } else if parts.count > 1 {
                defaults[parts[0]] = value
            }
        }

        private mutating func from(_ words: [String], _ number: Int) throws(Doubt) {
            guard let first = words.first, !first.hasPrefix("--"), words.count == 1 || words.count == 3 else {
                throw Doubt(description: "a FROM has options")
            }
            if words.count == 3, words[1].uppercased() != "AS" { throw Doubt(description: "a FROM has options") }
            let reference = try expanded(first)
            let isStage = stages.contains(reference.lowercased())
            allStages.append(
                Stage(
                    name: words.count == 3 ? words[2].lowercased() : nil,
                    beginsWithImage: !isStage && reference != "scratch"))
            if words.count == 3 { stages.append(words[2].lowercased()) }
            guard !isStage, reference != "scratch" else { return }
            guard ImageReference(reference) != nil || ImageReference.isID(reference) else {
                throw Doubt(description: "'\(reference)' is no image's name")
            }
            bases.append(Base(line: number, reference: reference, rest: words.dropFirst().joined(separator: " ")))
        }

        /// `COPY --from=` names an earlier stage; an image there would be looked for by its name.
        private func checkSource(_ words: [String]) throws(Doubt) {
            for word in words where word.contains("--from=") {
                let source = word.split(separator: "=", maxSplits: 1).dropFirst().first.map(String.init) ?? ""
                if stages.contains(source.lowercased()) { continue }
                if let number = Int(source), (0..<stageCount).contains(number) { continue }
                throw Doubt(description: "it copies from '\(source)', which is no stage of the build")
            }
        }

        /// `RUN --mount=…,from=` does as `COPY --from=`.
        private func checkMounts(_ words: [String]) throws(Doubt) {
            for word in words where word.contains("--mount=") {
                for option in word.split(separator: ",") where option.hasPrefix("from=") || option.contains("=from=") {
                    try checkSource(["--from=" + (option.split(separator: "=").last ?? "")])
                }
            }
        }

        /// `<<NAME`: the lines up to one that is the name are no instructions.
        private mutating func openDocuments(_ words: [String]) {
            for word in words.dropFirst() {
                var rest = word.drop { $0.isNumber }
                guard rest.hasPrefix("<<"), !rest.hasPrefix("<<<") else { continue }
                let mayBeIndented = rest.hasPrefix("<<-")
                rest = rest.dropFirst(mayBeIndented ? 3 : 2)
                let name = rest.filter { $0 != "\"" && $0 != "'" }
                if !name.isEmpty, !name.contains("<") { documents.append((name, mayBeIndented)) }
            }
        }

        /// `$NAME` and `${NAME}` of what the file declares before its first FROM.
        private func expanded(_ text: String) throws(Doubt) -> String {
            var result = ""
            var rest = text[...]
            while let mark = rest.firstIndex(of: "$") {
                result += rest[..<mark]
                rest = rest[rest.index(after: mark)...]
                let isBraced = rest.first == "{"
                if isBraced { rest = rest.dropFirst() }
                let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                rest = rest.dropFirst(name.count)
                if isBraced {
                    guard rest.first == "}" else { throw Doubt(description: "'\(text)' is not a simple variable") }
                    rest = rest.dropFirst()
                }
                guard let value = defaults[String(name)], !value.contains("$") else {
                    throw Doubt(description: "'\(text)' has a variable that is not known")
                }
                result += value
            }
            guard !text.contains("\\"), !text.contains("\"") else { throw Doubt(description: "'\(text)' is quoted") }
            return result + rest
        }
    }
}
