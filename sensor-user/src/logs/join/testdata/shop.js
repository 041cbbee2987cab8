function pay() { const e = new Error('card refused'); e.code = 'E_CARD'; e.retry = { after: 3, }; throw e; }
function order() { try { pay(); } catch (cause) { throw new Error('order 7', { cause }); } }
console.error('open');
try { order(); } catch (e) { console.error(e); }
console.error({ id: 7, items: [{ name: "it's }", price: 1.5 }, { name: 'b', price: 2 }], customer: { name: 'c', address: { city: 'd', zip: { code: 1 } } } });
console.error(JSON.stringify({ id: 7, items: [{ name: "it's }", n: 1 }, {}], empty: {} }, null, 2));
console.error('next');
order();
