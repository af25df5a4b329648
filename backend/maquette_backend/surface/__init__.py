"""What follows from a surface alone, shared by rendering and appearance: normals and tangent frames. Knows neither."""
