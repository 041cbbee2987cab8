//! The gRPC service `shop.v1.Payments`: its messages and its methods, written by hand, so that no
//! protoc is needed.
//!
//! ```proto
//! service Payments {
//!   rpc Charge (ChargeRequest) returns (Receipt);
//!   rpc GetReceipt (ReceiptRequest) returns (Receipt);
//! }
//! ```

use std::time::Duration;

use anyhow::Result;
use hyper::HeaderMap;
use hyper::http::Extensions;
use hyper::http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// The service.
pub(super) const SERVICE: &str = "shop.v1.Payments";
/// The path of its method `Charge`.
pub(super) const CHARGE: &str = "/shop.v1.Payments/Charge";
/// The path of its method `GetReceipt`.
pub(super) const GET_RECEIPT: &str = "/shop.v1.Payments/GetReceipt";

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What is to be paid.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChargeRequest {
    /// Cents.
    #[prost(uint64, tag = "1")]
    pub(super) amount: u64,
}

/// Whose receipt it shall be.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReceiptRequest {
    #[prost(string, tag = "1")]
    pub(super) order: String,
}

/// What was paid.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Receipt {
    #[prost(string, tag = "1")]
    pub(super) number: String,
    /// Cents.
    #[prost(uint64, tag = "2")]
    pub(super) amount: u64,
}

/// A client of the service, with one connection.
#[derive(Clone)]
pub(super) struct Client(Grpc<Channel>);

impl Client {
    /// Connects with the first call.
    pub(super) fn new(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self(Grpc::new(endpoint.connect_lazy())))
    }

    pub(super) async fn charge(&self, amount: u64, headers: HeaderMap) -> Result<Receipt, Status> {
        self.call(CHARGE, ChargeRequest { amount }, headers).await
    }

    pub(super) async fn receipt(&self, order: &str, headers: HeaderMap) -> Result<Receipt, Status> {
        self.call(GET_RECEIPT, ReceiptRequest { order: order.to_owned() }, headers).await
    }

    async fn call<M: prost::Message + 'static>(
        &self,
        path: &'static str,
        message: M,
        headers: HeaderMap,
    ) -> Result<Receipt, Status> {
        let metadata = MetadataMap::from_headers(headers);
        let mut request = Request::from_parts(metadata, Extensions::new(), message);
        request.set_timeout(TIMEOUT);
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        Ok(grpc.unary(request, path, codec).await?.into_inner())
    }
}
