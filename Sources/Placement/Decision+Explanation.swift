package import Fleet

extension Decision {
    /// A table that a person can read: the choice and the policy, then each node's verdict, score, reasons and terms.
    package func explanation() -> String {
        var lines = [
            "workload  \(workload)",
            "policy    \(policy.rawValue)",
            "target    \(target?.name ?? "none")",
            "reason    \(reason)",
        ]
        lines += warnings.map { "warning   \($0)" }
        lines.append("fleet     revision \(snapshotRevision)")
        lines.append("")
        lines += Self.columns([["NODE", "VERDICT", scoreTitle, "REASONS"]] + candidates.map(row))
        for candidate in candidates where !candidate.terms.isEmpty {
            lines.append("")
            lines.append(candidate.node.name)
            lines += Self.columns(candidate.terms.map { ["  \($0.name)", Text.value($0)] })
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private var scoreTitle: String { policy == .completion ? "PREDICTED" : "LOAD" }

    private func row(_ candidate: Candidate) -> [String] {
        let verdict =
            candidate.node == target ? "chosen" : candidate.refusals.isEmpty ? "possible" : "refused"
        let score = candidate.score.map { policy == .completion ? Text.seconds($0) : Text.number($0) } ?? "-"
        return [candidate.node.name, verdict, score, candidate.refusals.joined(separator: "; ")]
    }

    /// Left-aligned columns, two blanks between; the last is as long as it is.
    private static func columns(_ rows: [[String]]) -> [String] {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.count)
            }
        }
        return rows.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                line += cell
                if index < row.count - 1 { line += String(repeating: " ", count: widths[index] - cell.count + 2) }
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
