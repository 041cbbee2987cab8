module sensor/workloads

go 1.21
