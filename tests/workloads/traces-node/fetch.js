// A service of `node:http` that calls by `fetch`: fetch.js PORT
'use strict';

const { byFetch, serve } = require('./work.js');

serve(byFetch);
