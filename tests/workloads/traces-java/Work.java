import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A service of the JDK's HttpServer with a fixed pool of threads, that calls by HttpURLConnection or by
 * java.net.http: Work.java url|client PORT. See tests/workloads/traces-go/work for what it does.
 */
public class Work {
    static final int LATE = 5;
    static final String LEAF = System.getenv("LEAF");
    static final String LINES = System.getenv("LINES");
    static final Path TRUTH = Path.of(System.getenv("TRUTH"));
    /** What loggers have that are told not to write each record at once. */
    static final OutputStream BUFFER = "buffered".equals(LINES) ? buffer() : null;
    static final byte[] DONE = "done\n".getBytes(StandardCharsets.US_ASCII);

    /** Flushed now and then: nothing else would write out the last of it. */
    static OutputStream buffer() {
        OutputStream buffer = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 8192);
        Thread flusher = new Thread(() -> {
            try {
                while (true) {
                    Thread.sleep(50);
                    buffer.flush();
                }
            } catch (IOException | InterruptedException e) {
                e.printStackTrace();
            }
        });
        flusher.setDaemon(true);
        flusher.start();
        return buffer;
    }

    /** What a request asks for. */
    record Request(String pattern, String marker, String passOn, String traceparent, AtomicInteger notes) {
        static Request of(HttpExchange exchange) {
            String[] parts = exchange.getRequestURI().getPath().split("/");
            var headers = exchange.getRequestHeaders();
            String passOn = headers.getFirst("pass-on");
            return new Request(parts[2], parts[3], passOn, headers.getFirst("traceparent"), new AtomicInteger());
        }

        /**
         * A line with the request's marker, numbered from 1: the truth which the sensor's records are held against.
         */
        void note(String place) {
            if (LINES == null) {
                return;
            }
            String line = "working on " + marker + ": " + place + "." + notes.incrementAndGet();
            if (BUFFER == null) {
                System.out.println(line);
                return;
            }
            // Some find no room beside what is there, whoever that is of.
            String more = ThreadLocalRandom.current().nextInt(4) == 0 ? " x".repeat(5000) : "";
            byte[] bytes = (line + more + "\n").getBytes(StandardCharsets.US_ASCII);
            try {
                BUFFER.write(bytes, 0, bytes.length);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** The path of a call, which is written down as the truth. */
        String path(int number) throws IOException {
            String to = marker + "." + number;
            Files.writeString(TRUTH, marker + " " + to + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            return "/leaf/" + to;
        }

        /** The context of a call; null where there is none. */
        String passed() {
            if ("forwarded".equals(passOn)) {
                return traceparent;
            }
            if ("fresh".equals(passOn)) {
                String[] parts = traceparent.split("-");
                parts[2] = String.format("%016x", ThreadLocalRandom.current().nextLong() | 1);
                return String.join("-", parts);
            }
            return null;
        }
    }

    interface Caller {
        void call(Request request, int number) throws Exception;
    }

    static void byUrl(Request request, int number) throws Exception {
        URL url = new URL("http://" + LEAF + request.path(number));
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        String context = request.passed();
        if (context != null) {
            connection.setRequestProperty("traceparent", context);
        }
        try (InputStream body = connection.getInputStream()) {
            body.readAllBytes();
        }
    }

    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static void byClient(Request request, int number) throws Exception {
        var builder = HttpRequest.newBuilder(URI.create("http://" + LEAF + request.path(number)));
        String context = request.passed();
        if (context != null) {
            builder.header("traceparent", context);
        }
        var response = CLIENT.send(builder.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() != 200) {
            throw new IOException("status " + response.statusCode());
        }
    }

    /** Fewer than there are requests at once. */
    static final ExecutorService POOL = Executors.newFixedThreadPool(8);

    static CompletableFuture<Void> elsewhere(Caller caller, Request request, int number) {
        return CompletableFuture.runAsync(() -> {
            try {
                request.note("pooled");
                noted(request, caller, number, "pooled");
            } catch (Exception error) {
                throw new RuntimeException(error);
            }
        }, POOL);
    }

    static void noted(Request request, Caller caller, int number, String place) throws Exception {
        caller.call(request, number);
        request.note(place);
    }

    static void work(Request request, Caller caller) throws Exception {
        request.note("begin");
        switch (request.pattern) {
            case "one" -> noted(request, caller, 1, "called");
            case "seq" -> {
                noted(request, caller, 1, "called");
                noted(request, caller, 2, "called");
            }
            case "par" -> {
                // One in a thread of the pool, the other here.
                var other = elsewhere(caller, request, 1);
                noted(request, caller, 2, "called");
                other.get();
                request.note("joined");
            }
            case "late" -> {
                Thread.sleep(LATE);
                request.note("slept");
                noted(request, caller, 1, "called");
            }
            case "pool" -> {
                elsewhere(caller, request, 1).get();
                request.note("joined");
            }
            case "after" -> { }
            default -> throw new IOException("no pattern " + request.pattern);
        }
        request.note("end");
    }

    static void serve(HttpExchange exchange, Caller caller) throws IOException {
        try {
            Request request = Request.of(exchange);
            work(request, caller);
            exchange.sendResponseHeaders(200, DONE.length);
            exchange.getResponseBody().write(DONE);
            exchange.close();
            request.note("after");
            if (request.pattern.equals("after")) {
                // By the same thread, which has answered.
                noted(request, caller, 1, "after");
            }
        } catch (Exception error) {
            error.printStackTrace();
            exchange.close();
        }
    }

    public static void main(String[] arguments) throws IOException {
        // HttpURLConnection keeps five connections to a host unless it is told to keep more.
        System.setProperty("http.maxConnections", "128");
        // The server's answers are two writes: without this each waits for an acknowledgement.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        Caller caller = arguments[0].equals("url") ? Work::byUrl : Work::byClient;
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[1]));
        HttpServer server = HttpServer.create(address, 128);
        server.createContext("/work/", exchange -> serve(exchange, caller));
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.start();
    }
}
