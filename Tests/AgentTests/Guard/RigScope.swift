import Engine
import Fleet

@testable import Agent

/// Runs a test against a fake engine and a guard before it, and takes both down afterwards.
@NodeLoop
func withGuard(
    policy: GuardPolicy = GuardPolicy(), headroom: Headroom = Headroom(), free: Headroom.Free = Headroom.Free(),
    configure: (inout GuardConfiguration) -> Void = { _ in },
    _ body: @NodeLoop (GuardRig, FakeEngine) async throws -> Void
) async throws {
    let engine = FakeEngine()
    try await engine.start()
    let rig = try await GuardRig(
        engine: engine.path, policy: policy, headroom: headroom, free: free, configure: configure)
    do {
        try await body(rig, engine)
    } catch {
        await rig.stop()
        await engine.stop()
        throw error
    }
    await rig.stop()
    await engine.stop()
}
