import java.util.logging.*;

public class Shop {
    static class Till implements AutoCloseable {
        public void close() { throw new IllegalArgumentException("till is stuck"); }
    }
    static void pay() throws Exception {
        try (Till till = new Till()) { throw new java.io.IOException("card refused"); }
    }
    static void order() {
        try { pay(); } catch (Exception e) { throw new RuntimeException("order 7", e); }
    }
    public static void main(String[] args) throws Exception {
        Logger log = Logger.getLogger("shop");
        log.info("open");
        try { order(); } catch (Exception e) { log.log(Level.SEVERE, "failed", e); }
        log.warning("next");
        Thread t = new Thread(() -> { throw new RuntimeException("first line\nsecond line", new Error()); }, "worker-1");
        t.start(); t.join();
        order();
    }
}
