internal import Engine

/// Notes when something was heard last.
@NodeLoop
final class Ear {
    private var heardAt = ContinuousClock.now
    nonisolated init() {}

    func hear() { heardAt = .now }

    /// Returns when nothing has been heard for so long.
    fileprivate func miss(for patience: Duration) async throws {
        while ContinuousClock.now < heardAt + patience {
            try await ContinuousClock().sleep(until: heardAt + patience)
        }
    }
}

/// Runs `work`, and ends it where nothing has been heard for `patience`.
/// - Throws: `.unreachable` then; what `work` throws.
@NodeLoop
func whileHeard<T: Sendable>(
    within patience: Duration, _ work: @escaping @Sendable @NodeLoop (Ear) async throws -> T
) async throws -> T {
    let ear = Ear()
    return try await withThrowingTaskGroup(of: T?.self) { group in
        group.addTask { try await work(ear) }
        group.addTask {
            try await ear.miss(for: patience)
            return nil
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() ?? nil else {
            throw FrontDoorError(.unreachable, "nothing was heard for \(patience)")
        }
        return result
    }
}
