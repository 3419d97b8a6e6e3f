import DockerAPI
import Engine
import Fleet
import LighterTesting
import Session
import Testing

@testable import FrontDoor

@Suite("Events of a container that was begun more than once", .timeLimit(.minutes(1)))
struct LivesTests {
    private static let shown = "aa".repeated(32)
    private static let former = "bb".repeated(32)
    private static let present = "cc".repeated(32)

    private static func event(_ action: String, _ id: String, _ workload: WorkloadID, epoch: Int) -> JSON {
        [
            "Type": "container", "Action": .string(action), "id": .string(id),
            "Actor": [
                "ID": .string(id),
                "Attributes": [
                    "io.lighter.workload": .string("\(workload)"), "io.lighter.epoch": .string("\(epoch)"),
                    "name": "web",
                ],
            ],
        ]
    }

    @Test("are those of one container, and tell of no end but its own")
    func elsewhere() async throws {
        try await Rig.with { rig in
            try await rig.elsewhere { door, workload, away in
                let seen = { (action: String, id: String, workload: WorkloadID, epoch: Int, isPast: Bool) -> String? in
                    let event = Self.event(action, id, workload, epoch: epoch)
                    let node = epoch == 2 ? away[1] : away[0]
                    let shown = door.identified(event, at: node, isPast: isPast)
                    #expect(shown?["id"] == shown?["Actor"]?["ID"])
                    return shown.map { $0["Actor"]?["ID"]?.stringValue ?? "" }
                }
                #expect(seen("start", Self.present, workload, 2, false) == Self.shown)
                #expect(seen("destroy", Self.present, workload, 2, false) == Self.shown)
                for action in ["kill", "die", "destroy"] {
                    #expect(seen(action, Self.former, workload, 1, false) == nil)
                }
                #expect(seen("die", Self.former, workload, 1, true) == Self.shown)
                #expect(seen("destroy", Self.former, workload, 1, true) == nil)
                #expect(seen("create", Self.former, workload, 3, false) == nil, "it was refused")
                door.moving.insert(Self.shown)
                #expect(seen("create", Self.former, workload, 3, false) == Self.shown)
                #expect(seen("destroy", Self.present, workload, 2, false) == nil)
                let another = WorkloadID.random()
                #expect(seen("create", Self.former, another, 1, false) == Self.former)
                door.lives.note(Self.shown, workload: another)
                #expect(seen("create", Self.former, another, 1, false) == Self.shown)
                door.moving.remove(Self.shown)
                #expect(seen("die", Self.former, another, 1, false) == nil)
                // Its user has removed it.
                door.lives.note(Self.shown, workload: workload)
                try door.routes.remove(Self.shown)
                #expect(seen("destroy", Self.present, workload, 2, false) == Self.shown)
                // It has come to this device.
                try door.aliases.put(Self.shown, engineID: Self.former, at: door.control.node)
                #expect(seen("destroy", Self.present, workload, 2, false) == nil)
            }
        }
    }

    @Test("of this device's engine are, too, while it leaves and when it comes home")
    func here() async throws {
        try await Rig.with { rig in
            try await rig.elsewhere { door, _, _ in
                let seen = { (action: String, id: String, isPast: Bool) -> String? in
                    let event: JSON = [
                        "Type": "container", "Action": .string(action),
                        "Actor": ["ID": .string(id), "Attributes": ["name": "web"]],
                    ]
                    return door.identifiedHere(event, isPast: isPast).map { $0["Actor"]?["ID"]?.stringValue ?? "" }
                }
                #expect(seen("start", Self.former, false) == Self.former)
                door.moving.insert(Self.shown)
                #expect(seen("create", Self.former, false) == Self.shown)
                door.moving.remove(Self.shown)
                door.lives.note(Self.shown, workload: .random(), engineID: Self.former)
                #expect(seen("destroy", Self.former, false) == nil)
                #expect(seen("destroy", Self.former, true) == nil)
                #expect(seen("die", Self.former, true) == Self.shown)
                #expect(seen("die", Self.shown, false) == nil)
                try door.routes.remove(Self.shown)
                #expect(seen("die", Self.former, false) == Self.shown)
            }
        }
    }
}

extension Rig {
    /// With a container that runs in its second life.
    @NodeLoop
    fileprivate func elsewhere(_ body: @NodeLoop (FrontDoor, WorkloadID, [NodeID]) throws -> Void) throws {
        let nodes = [try NodeID("cloud1"), try NodeID("cloud2")]
        try addRoute("aa".repeated(32), "web", at: "cloud2")
        guard var route = routes["aa".repeated(32)] else { return }
        route.epoch = 2
        try routes.put(route)
        try body(door, route.workload, nodes)
    }
}
