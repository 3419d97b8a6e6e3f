/// Columns of text under headings, three spaces apart, as docker prints them.
struct Table {
    let headings: [String]
    private var rows: [[String]] = []

    init(_ headings: String...) {
        self.headings = headings
    }

    /// Adds a row; missing cells stay empty, and control characters are left out so that a name cannot move the cursor.
    mutating func add(_ cells: String...) {
        let filled = cells + Array(repeating: "", count: max(0, headings.count - cells.count))
        rows.append(filled.prefix(headings.count).map { $0.filter { !$0.isControl } })
    }

    var text: String {
        let lines = [headings] + rows
        let widths = headings.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let padded = zip(line, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            let joined = padded.joined(separator: "   ")
            return String(joined.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

extension Character {
    fileprivate var isControl: Bool { unicodeScalars.contains { $0.properties.generalCategory == .control } }
}
