import Testing

@testable import PostgresWire

@Suite struct DeallocatedNamesTests {
    private func read(_ text: String, escapes: Bool = false) -> String? {
        let bytes = Array(text.utf8)
        guard let found = DeallocatedNames.read(bytes.span, 0..<bytes.count, escapes: escapes) else { return nil }
        return found.all.map { "\($0.name)@\($0.index)" }.joined(separator: " ") + " of \(found.statements)"
    }

    @Test(
        "each DEALLOCATE is found, with its place among the statements",
        arguments: [
            ("deallocate a; select 1", "a@0 of 2"), ("select 1; deallocate a", "a@1 of 2"), ("begin;deallocate \"A\";commit", "A@1 of 3"),
            (";; deallocate b;;deallocate prepare A ;", "b@0 a@1 of 2"),
            ("savepoint v;DEALLOCATE \"_PLAN0x1\";RELEASE v", "_PLAN0x1@1 of 3"),
            ("deallocate a", "a@0 of 1"), ("deallocate a; deallocate a", "a@0 a@1 of 2"), ("deallocate all; deallocate a", "a@1 of 2"),
            ("select ';deallocate b;'; deallocate a", "a@1 of 2"), ("select ''';deallocate b;'; deallocate a", "a@1 of 2"),
            ("select e'\\';deallocate b;'; deallocate a", "a@1 of 2"), ("select E'\\\\'; deallocate a", "a@1 of 2"),
            ("select '\\'; deallocate a", "a@1 of 2"), ("select \";deallocate b;\" from t; deallocate a", "a@1 of 2"),
            ("select $$;deallocate b;$$; deallocate a", "a@1 of 2"), ("select $x$;deallocate b;$$;$x$; deallocate a", "a@1 of 2"),
            ("select $1; deallocate a", "a@1 of 2"), ("select x$$; deallocate a", "a@1 of 2"), ("select $1$; deallocate a", "a@1 of 2"),
            ("/* ;deallocate b; /* */ */ select 1 -- ;deallocate b;\n; deallocate a", "a@1 of 2"),
            ("select 1 -- x\n;/**/deallocate/**/a/**/", "a@1 of 2"), ("select U&'\\'; deallocate a", "a@1 of 2"),
            ("select 1; deallocate U&\"\\0061\"", "a@1 of 2"), ("select the'x'; deallocate a", "a@1 of 2"),
            ("select 1; deallocate a b; deallocate c", "c@2 of 3"), ("explain deallocate b; deallocate a", "a@1 of 2"),
        ])
    func found(_ text: String, _ expected: String) {
        #expect(read(text) == expected)
    }

    @Test(
        "what only looks like one is none",
        arguments: [
            "", ";", "select 1", "select 1; select 2", "deallocate all; select 1", "select 'deallocate a", "select ';deallocate a;",
            "deallocate; select 1",
            "select $$;deallocate a", "select $x$;deallocate a;$y$", "/* ;deallocate a", "select \"; deallocate a",
            "\"deallocate\" a; select 1",
            "select 1 --; deallocate a", "discard all; discard all", "deallocate 'a'; select 1",
        ])
    func none(_ text: String) {
        #expect(read(text) == nil)
    }

    @Test("a backslash escapes in ordinary strings where it is set so")
    func escapes() {
        #expect(read("select '\\';deallocate b;'; deallocate a", escapes: true) == "a@1 of 2")
        #expect(read("select \"\\\"; deallocate a", escapes: true) == "a@1 of 2")
    }

    @Test("names are bytes in the client's encoding")
    func bytes() {
        let text = Array("select 1; deallocate ".utf8) + [0xE4] + Array("; deallocate \"B".utf8) + [0xFC, 0x22]
        let names = DeallocatedNames.read(text.span, 0..<text.count, escapes: false)?.all.map { $0.name.messageBytes }
        #expect(names == [[0xE4], [0x42, 0xFC]])
        let alone = Array("deallocate ".utf8) + [0xE4]
        guard case .name(let name) = DeallocateStatement.parse(alone.span, 0..<alone.count) else {
            Issue.record("no name")
            return
        }
        #expect(name.messageBytes == [0xE4])
    }

    @Test(
        "a query of one statement",
        arguments: [
            ("do $$ begin execute 'deallocate a'; end $$", true), (" select ';' ; ; ", true), ("do $$ $$; select 1", false),
            ("a; b", false), ("/* ; */ a --;", true),
        ])
    func one(text: String, isOne: Bool) {
        let bytes = Array(text.utf8)
        let found = DeallocatedNames.isOneStatement(bytes.span, 0..<bytes.count, escapes: false)
        #expect(found == isOne)
    }

    @Test("no more names are looked for than have a use")
    func bounded() {
        let text = String(repeating: "deallocate a;", count: DeallocatedNames.most + 10)
        let bytes = Array(text.utf8)
        let found = DeallocatedNames.read(bytes.span, 0..<bytes.count, escapes: false)
        #expect(found?.all.count == DeallocatedNames.most && found?.statements == DeallocatedNames.most + 10)
    }
}
