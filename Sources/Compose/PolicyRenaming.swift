import Yams

/// Gives `offload_policy` a name that Compose passes over; every other byte stays as it was.
struct PolicyRenaming {
    /// Compose lets a service have keys that begin with `x-`.
    static let newName = "x-offload-policy"

    private struct Position: Hashable, Comparable {
        let line: Int
        let column: Int

        static func < (a: Self, b: Self) -> Bool { (a.line, a.column) < (b.line, b.column) }
    }

    private let positions: [Position]

    init(_ file: ComposeFile) {
        var found: Set<Position> = []
        for document in file.documents {
            for (_, service) in document[entry: "services"]?.entries ?? [] {
                Self.collect(from: service, into: &found)
            }
        }
        positions = found.sorted()
    }

    var isNeeded: Bool { !positions.isEmpty }

    /// The keys of a service and of what `<<` brings to it, also where its own come first.
    private static func collect(from service: Node, into found: inout Set<Position>) {
        guard case .mapping(let mapping) = service else { return }
        for (key, value) in mapping {
            guard case .scalar(let key) = key else { continue }
            if key.string == OffloadBlock.policy.rawValue, let mark = key.mark {
                found.insert(Position(line: mark.line, column: mark.column))
            } else if key.string == "<<" {
                if case .sequence(let sources) = value {
                    for source in sources { collect(from: source, into: &found) }
                } else {
                    collect(from: value, into: &found)
                }
            }
        }
    }

    /// - Throws: `ComposeError.Code.misplaced` when the key is written in a way that cannot be replaced.
    func applied(to file: ComposeFile) throws(ComposeError) -> String {
        let old = Array(OffloadBlock.policy.rawValue.unicodeScalars)
        let text = Array(file.text.unicodeScalars)
        var renamed = String.UnicodeScalarView()
        var next = 0
        for position in Self.offsets(of: positions, in: text) {
            // The mark of a quoted key is that of its quote.
            let quoted = position.offset < text.count && "\"'".unicodeScalars.contains(text[position.offset])
            let start = position.offset + (quoted ? 1 : 0)
            guard text[min(start, text.count)...].starts(with: old) else {
                throw ComposeError(
                    .misplaced,
                    "\(file.title): line \(position.line): write the key offload_policy without tag or anchor")
            }
            renamed.append(contentsOf: text[next..<start])
            renamed.append(contentsOf: Self.newName.unicodeScalars)
            next = start + old.count
        }
        renamed.append(contentsOf: text[next...])
        return String(renamed)
    }

    /// Offsets of lines and columns as libYAML counts them: columns in scalars, lines by the breaks of YAML 1.1.
    private static func offsets(
        of positions: [Position], in text: [Unicode.Scalar]
    ) -> [(line: Int, offset: Int)] {
        var starts = [0]
        for (index, scalar) in text.enumerated() {
            let isBreak: Bool
            switch scalar {
            case "\n", "\u{85}", "\u{2028}", "\u{2029}": isBreak = true
            case "\r": isBreak = index + 1 == text.count || text[index + 1] != "\n"
            default: isBreak = false
            }
            if isBreak { starts.append(index + 1) }
        }
        return positions.map { position in
            let start = position.line <= starts.count ? starts[position.line - 1] : text.count
            return (position.line, start + position.column - 1)
        }
    }
}
