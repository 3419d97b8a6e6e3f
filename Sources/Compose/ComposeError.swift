/// Why a project cannot be handed to Compose.
package struct ComposeError: Error, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// A file that has settings of Lighter's is no YAML.
        case malformed
        /// A setting is unknown, or has a value that it does not take.
        case setting
        /// A setting stands where Compose would read it itself and refuse it.
        case misplaced
    }

    package let code: Code
    /// What is wrong, where, and what to do; one line.
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
