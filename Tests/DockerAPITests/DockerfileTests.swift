import DockerAPI
import Testing

@Suite("A Dockerfile's base images")
struct DockerfileTests {
    private func references(_ text: String, _ arguments: [String: String] = [:]) throws -> [String] {
        try Dockerfile(text, arguments: arguments).references
    }

    @Test("are what its stages begin with, but for other stages and nothing")
    func stages() throws {
        let text = """
            # syntax=docker/dockerfile:1
            FROM busybox:1 AS build
            RUN echo FROM nothing && \\
                FROM=also
            FROM build as second
            COPY --from=build /a /b
            COPY --from=0 /a /b
            from scratch
            FROM reg:5000/a/b@sha256:\(String(repeating: "a", count: 64))\r
            FROM busybox:1
            """
        let expected = ["busybox:1", "reg:5000/a/b@sha256:" + String(repeating: "a", count: 64)]
        #expect(try references(text) == expected)
    }

    @Test("are named by arguments, of the file or of the build")
    func arguments() throws {
        let text = "ARG VERSION=1.2\nARG NAME=\"busy\"\nARG TAIL\nFROM ${NAME}box:$VERSION$TAIL AS x\n"
        #expect(try references(text, ["TAIL": "-a"]) == ["busybox:1.2-a"])
        #expect(try references(text, ["TAIL": "", "VERSION": "3"]) == ["busybox:3"])
        #expect(throws: Dockerfile.Doubt.self) { try references(text) }
    }

    @Test("are pinned by their ids, and all else stays as it was")
    func pinned() throws {
        let text = "# a\nFROM busybox AS one\nRUN x\\\n  y\n\nFROM one\nFROM other:2\n"
        let file = try Dockerfile(text, arguments: [:])
        let pinned = file.pinned(["busybox": "sha256:1", "other:2": "sha256:2"])
        #expect(pinned == "# a\nFROM sha256:1 AS one\nRUN x\\\n  y\n\nFROM one\nFROM sha256:2\n")
    }

    @Test(
        "are in doubt where that takes more than reading",
        arguments: [
            "", "RUN true\n", "# escape=`\nFROM busybox\n", "FROM --platform=linux/arm64 busybox\n",
            "FROM busy\\\nbox\n",
            "FROM $UNKNOWN\n", "ARG A=1\nFROM busybox:${A:-2}\n", "ARG A=$B\nFROM $A\n", "FROM UPPER/Case\n",
            "FROM busybox\nCOPY --from=nginx /a /b\n", "FROM busybox\nCOPY --from=1 /a /b\n",
            "FROM busybox AS a b\n", "FROM busybox\nCOPY \\\n  --from=nginx /a /b\n", "FROM \"busybox\"\n",
            "FROM busybox\nONBUILD COPY --from=nginx a b\n", "ARG \\\nA=1\nFROM busybox\n",
        ])
    func doubt(text: String) {
        #expect(throws: Dockerfile.Doubt.self) { try references(text) }
    }

    @Test("are told of what BuildKit alone understands, too")
    func kit() throws {
        let text = """
            FROM busybox AS a
            RUN <<END cat <<-'OTHER' 3<<"x"
            FROM nothing
            END
            \tFROM nothing
            \tOTHER
            x
            RUN --mount=type=bind,from=a,target=/a --mount=type=cache,target=/c true <<<word
            COPY --link --from=a <<FILE /a /b
            FROM nothing
            FILE
            FROM other
            """
        #expect(try Dockerfile(text, arguments: [:], builder: .kit).references == ["busybox", "other"])
    }

    @Test(
        "are in doubt for BuildKit where a frontend of its own, or another image, comes in",
        arguments: [
            "# syntax=docker/dockerfile:1\nFROM busybox\n", "#syntax = x\nFROM busybox\n",
            "FROM busybox\nRUN --mount=type=bind,from=nginx,target=/a true\n",
            "FROM busybox\nRUN --mount=from=nginx true\n", "FROM busybox\nRUN true \\\n  --mount=from=nginx true\n",
            "FROM busybox\nRUN <<END\ntrue\n",
        ])
    func kitDoubt(text: String) {
        #expect(throws: Dockerfile.Doubt.self) { try Dockerfile(text, arguments: [:], builder: .kit) }
        #expect(throws: Never.self) { try Dockerfile(text, arguments: [:]) }
    }
}

@Suite("The lines of a Dockerfile that a step is")
struct DockerfileStepTests {
    @Test(
        "are found by what BuildKit calls the step",
        arguments: [
            ("[build 2/4] RUN a b", 3...5), ("[build 3/4] COPY x y", 6...8), ("[build 4/4] WORKDIR /w", 11...11),
            ("[linux/amd64 build 2/4] RUN a b", 3...5), ("[stage-1 1/2] COPY --from=build /a /b", 13...13),
            ("[stage-1 2/2] ADD z /", 14...14), ("[last 1/1] COPY a b", 16...16),
            ("[build 1/4] FROM docker.io/library/busybox", nil), ("[build 2/5] RUN a b", nil),
            ("[build 2/4] COPY x y", nil), ("[other 2/4] RUN a b", nil), ("[2/4] RUN a b", nil),
            ("[internal] load build context", nil), ("exporting to image", nil), ("[", nil), ("[]", nil), ("", nil),
            ("[build 9/4] RUN a", nil), ("[build -1/4] RUN a", nil),
            ("[build -9223372036854775808/4] RUN a b", nil), ("[build 0/4] RUN a b", nil), ("[build 5/4] RUN a b", nil),
        ] as [(String, ClosedRange<Int>?)])
    func stages(name: String, lines: ClosedRange<Int>?) throws {
        let text = """
            ARG A=busybox
            FROM $A AS Build
            RUN a \\
            # a comment
              b
            COPY <<END y
            RUN c
            END
            ENV x=1
            ONBUILD RUN d
            WORKDIR /w
            FROM build
            copy --from=build /a /b
            ADD z /
            FROM scratch AS last
            COPY a b
            """
        #expect(try Dockerfile(text, arguments: [:], builder: .kit).lines(ofStep: name) == lines)
    }

    @Test("are those of the only stage, which has no name, whatever it was given")
    func oneStage() throws {
        let file = try Dockerfile("FROM busybox AS x\r\nRUN a\r\n", arguments: [:], builder: .kit)
        #expect(file.lines(ofStep: "[2/2] RUN a") == 2...2)
        #expect(file.text == "FROM busybox AS x\nRUN a\n")
    }
}
