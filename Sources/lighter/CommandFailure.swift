/// A failure as the user sees it: one line that says what happened and what to do. Exit code 1.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ message: String) {
        description = message
    }

    /// Another room's error on one line; its description says the remedy.
    init(_ error: any Error) {
        let lines = "\(error)".split(whereSeparator: \.isNewline).map { $0.trimmed }
        description = lines.filter { !$0.isEmpty }.joined(separator: "; ")
    }
}

extension StringProtocol {
    /// Without the spaces at both ends.
    var trimmed: String {
        let front = drop(while: \.isWhitespace)
        guard let last = front.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(front[...last])
    }
}
