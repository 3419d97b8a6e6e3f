import Session

/// The gateways that a command may ask: one leads, the others turn everybody away.
struct GatewayList: Equatable {
    /// `HOST:PORT` each; at least one.
    let addresses: [String]

    /// - Parameter text: addresses with commas between them; nil for anything else.
    init?(_ text: String) {
        addresses = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmed }
        guard addresses.allSatisfy({ HostPort($0) != nil }) else { return nil }
    }

    /// Asks one after the other until one answers; of several, the next may be about to lead: all are asked `rounds` times.
    ///
    /// - Throws: `CommandFailure` with what each said last; an error that is not of the gateway's availability at once.
    func ask<Result: Sendable>(
        rounds: Int = 5, pause: Duration = .seconds(1), _ question: @Sendable (String) async throws -> Result
    ) async throws -> Result {
        var said: [String] = []
        for round in 0..<(addresses.count > 1 ? rounds : 1) {
            if round > 0 { try await Task.sleep(for: pause) }
            said = []
            for address in addresses {
                do {
                    return try await question(address)
                } catch let error as SessionError where error.code == .unavailable || error.code == .timedOut {
                    said.append("\(address): \(CommandFailure(error))")
                    if addresses.count == 1 { throw error }
                }
            }
        }
        throw CommandFailure("no gateway serves: \(said.joined(separator: "; "))")
    }
}
