import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Java's loggers: Loggers LOGGER, with LOGGER.xml as the configuration of logback or log4j2. What is told of each record
 * is described in tests/workloads/loggers-go.
 */
public class Loggers {
    static final String TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
    static final String SPAN_ID = "00f067aa0ba902b7";
    static final Path TRUTH = Path.of(System.getenv("TRUTH"));
    static final ObjectMapper JSON = new ObjectMapper();

    record Event(String level, String message, Map<String, Object> fields, boolean ids, Throwable error) { }

    interface Write {
        void write(Event event);
    }

    static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
    }

    static void charge() {
        throw new IllegalArgumentException("card declined");
    }

    static Throwable failure() {
        try {
            charge();
            return null;
        } catch (IllegalArgumentException cause) {
            return new IllegalStateException("no payment", cause);
        }
    }

    static final List<String> STACK = List.of(
        "java.lang.IllegalStateException: no payment",
        "at Loggers.failure(Loggers.java:",
        "at Loggers.main(Loggers.java:",
        "Caused by: java.lang.IllegalArgumentException: card declined",
        "at Loggers.charge(Loggers.java:");

    static List<Event> events() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("order_id", "o-17");
        fields.put("attempt", 3);
        fields.put("delta", -5);
        fields.put("big", 9007199254740993L);
        fields.put("ratio", 0.25);
        fields.put("paid", true);
        return List.of(
            new Event("debug", "cache warmed", Map.of(), false, null),
            new Event("info", "order placed", fields, false, null),
            new Event("info", "größe ☃ 𝄞 done", Map.of(), false, null),
            new Event("warn", "he said \"no\" \\ twice", Map.of(), false, null),
            new Event("warn", "first line\nsecond line", Map.of(), false, null),
            new Event("info", "order paid", Map.of(), true, null),
            new Event("error", "payment failed", Map.of(), false, failure()));
    }

    static void say(Map<String, Object> said) throws IOException {
        String line = JSON.writeValueAsString(said) + "\n";
        Files.writeString(TRUTH, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    static void run(boolean text, boolean withFields, Write write) throws IOException {
        for (Event event : events()) {
            Map<String, Object> said = new LinkedHashMap<>();
            said.put("resolution", 1_000_000L);
            said.put("level", event.level);
            said.put("message", event.message);
            said.put("source", "stdout");
            if (withFields) {
                said.put("attributes", event.fields);
            }
            said.put("loose", text);
            said.put("split", text && event.message.contains("\n"));
            if (event.ids) {
                said.put("trace_id", TRACE_ID);
                said.put("span_id", SPAN_ID);
            }
            if (event.error != null) {
                said.put("words", STACK);
            }
            said.put("before", now());
            write.write(event);
            said.put("after", now());
            say(said);
        }
    }

    static void logback(String name) throws IOException {
        boolean text = name.endsWith("pattern");
        var logger = org.slf4j.LoggerFactory.getLogger("shop.orders");
        run(text, !text, event -> {
            if (event.ids) {
                org.slf4j.MDC.put(text ? "traceId" : "trace_id", TRACE_ID);
                org.slf4j.MDC.put(text ? "spanId" : "span_id", SPAN_ID);
            }
            var entry = logger.atLevel(org.slf4j.event.Level.valueOf(event.level.toUpperCase()));
            for (var field : event.fields.entrySet()) {
                entry = entry.addKeyValue(field.getKey(), field.getValue());
            }
            entry.setCause(event.error).log(event.message);
            org.slf4j.MDC.clear();
        });
    }

    static void log4j2(String name) throws IOException {
        boolean text = name.endsWith("pattern");
        var logger = org.apache.logging.log4j.LogManager.getLogger("shop.orders");
        run(text, false, event -> {
            if (event.ids) {
                org.apache.logging.log4j.ThreadContext.put("trace_id", TRACE_ID);
                org.apache.logging.log4j.ThreadContext.put("span_id", SPAN_ID);
            }
            var level = org.apache.logging.log4j.Level.valueOf(event.level.toUpperCase());
            logger.atLevel(level).withThrowable(event.error).log(event.message);
            org.apache.logging.log4j.ThreadContext.clearAll();
        });
    }

    /** Of an exception that nobody catches the JVM writes the stack, in many writes. */
    static void uncaught() throws Throwable {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("message", "Exception in thread \"main\" java.lang.IllegalStateException: no payment");
        said.put("source", "stderr");
        said.put("loose", true);
        said.put("among", true);
        said.put("words", STACK);
        said.put("before", now());
        // When it is over nobody knows any more.
        said.put("after", now() + 5_000_000_000L);
        say(said);
        throw failure();
    }

    public static void main(String[] arguments) throws Throwable {
        switch (arguments[0]) {
            case "logback-pattern", "logback-json" -> logback(arguments[0]);
            case "log4j2-pattern", "log4j2-json" -> log4j2(arguments[0]);
            case "uncaught" -> uncaught();
            default -> throw new IOException("no logger " + arguments[0]);
        }
    }
}
