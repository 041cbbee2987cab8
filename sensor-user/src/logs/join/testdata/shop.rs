fn pay(n: i32) -> i32 { 10 / n }
fn main() {
    eprintln!("open");
    let _ = std::thread::Builder::new().name("worker-1".into()).spawn(|| panic!("order {}\nhas no items", 7)).unwrap().join();
    eprintln!("next");
    println!("{}", pay(std::env::args().count() as i32 - 1));
}
