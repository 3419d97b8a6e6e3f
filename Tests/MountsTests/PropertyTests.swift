import Glibc
import Testing

@testable import Mounts

/// Random changes at both sides, some at the same paths.
private struct Chaos {
    var noise: Noise
    private let names = ["a", "b", "c", "d"]

    init(seed: Int) { noise = Noise(seed: UInt64(seed)) }

    private mutating func path() -> String {
        (0..<Int.random(in: 1...3, using: &noise)).map { _ in names.randomElement(using: &noise) ?? "a" }
            .joined(separator: "/")
    }

    /// Changes that the file system refuses are no changes.
    mutating func act(on disk: Disk) {
        let path = path()
        switch Int.random(in: 0..<10, using: &noise) {
        case 0..<3: try? disk.write(path, noise.bytes(Int.random(in: 0...2000, using: &noise)))
        case 3: try? disk.write(path, noise.bytes(Int.random(in: 100_000...300_000, using: &noise)))
        case 4, 5: try? disk.folder(path)
        case 6: try? disk.removeAll(path)
        case 7: try? disk.link(path, to: self.path())
        case 8: try? disk.rename(path, to: self.path())
        default: try? disk.mode(path, mode_t([0o600, 0o640, 0o755].randomElement(using: &noise) ?? 0o600))
        }
        _ = noise.next()
    }
}

@Suite(.timeLimit(.minutes(5)))
struct PropertyTests {
    @Test("Whatever happens at both sides, both are the same afterwards", arguments: 0..<16)
    func equal(seed: Int) async throws {
        // A round is planned page by page, and what is planned together must not matter.
        let page = [1, 2, 3, 1024][seed % 4]
        let rig = try Rig { $0.page = page }
        var chaos = Chaos(seed: seed)
        for _ in 0..<20 { chaos.act(on: rig.origin) }
        for session in 0..<3 {
            chaos = try await rig.live { [chaos] live in
                var chaos = chaos
                try await live.synchronise()
                rig.expectSame("seed \(seed), session \(session)")
                for round in 0..<4 {
                    for _ in 0..<Int.random(in: 1...12, using: &chaos.noise) {
                        chaos.act(on: Bool.random(using: &chaos.noise) ? rig.origin : rig.target)
                    }
                    try await live.synchronise()
                    rig.expectSame("seed \(seed), session \(session), round \(round)")
                }
                return chaos
            }
            for _ in 0..<8 { chaos.act(on: Bool.random(using: &chaos.noise) ? rig.origin : rig.target) }
        }
    }
}
